"""When an event counts as acknowledged: what a publisher gets wrong here, no checker can tell from a loss."""

from tests.faults.team import stored_as


def test_an_event_is_stored_under_the_sequence_that_its_acknowledgement_says() -> None:
    assert stored_as(b'{"stream":"EVENTS","seq":43}') == 43
    assert stored_as(b'{"stream":"EVENTS","seq":43,"duplicate":true}') == 43


def test_a_refusal_is_no_acknowledgement_though_it_has_a_sequence() -> None:
    refusal = b'{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"},"seq":0}'
    assert stored_as(refusal) == 0
