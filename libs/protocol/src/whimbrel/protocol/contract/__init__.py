"""What is generated from the contract: schemas, API descriptions, reference pages, JavaScript types.

``python -m whimbrel.protocol.contract`` writes all of them, with ``--check`` it names each that is not current. Nothing
that runs in a service or a client imports this package.
"""
