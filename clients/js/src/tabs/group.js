// The tabs of one browser that show the same user: they elect a leader by a Web Lock, and talk to it over a BroadcastChannel.
//
// A lock is free when its tab is closed, crashed or discarded: the next in line leads from then on, and the leader learns in the same way
// which tabs are gone. A leader that is frozen and does not answer is overthrown.

import { ABNORMAL, HANDOVER } from "../core/codes.js";
import { newKey } from "../key.js";
import { Trunk } from "./trunk.js";

/**
 * @import { Transport } from "../core/choice.js"
 * @import { Frame } from "../core/switchboard.js"
 * @import { Host, Link, LinkEvents } from "../transports/link.js"
 * @import { Ways } from "./trunk.js"
 *
 * @typedef {{leader: string, events: LinkEvents}} TabLink `leader` that it talks to, empty before there is one
 *
 * @typedef {object} GroupEvents
 * @property {() => boolean} moved another tab leads: go over to it; false where nothing is connected yet that could
 * @property {(transport: Transport) => void} carried what carries the one connection
 * @property {() => void} up the connection is back: whoever waits for it need not wait any longer
 * @property {(code: number, reason: string) => void} closed this tab led, and its connection is closed for good
 * @property {() => void} refused there are no locks for this page, as in a frame that the page around it keeps in a sandbox
 *
 * @typedef {{from: string, to?: string | null, frames?: Frame[], who?: true, lead?: true, bye?: true, prefer?: Transport[]}} Message
 */

const OF_THE_GROUP = ["carrier", "down", "up"]; // what a leader says of the connection, rather than passes on
const ANSWER_MS = 2_000; // a leader that lives answers within milliseconds, however busy
const FRESH_MS = 5_000; // who was heard from within this long need not be asked whether it lives

export class Group {
  id;
  leader = "";
  /** @type {Transport | null} */
  carrier = null;
  /** @type {Set<TabLink>} the one in use, and another while this tab goes over to a new leader */
  #links = new Set();
  /** @type {Trunk | null} while this tab leads */
  #trunk = null;
  /** @type {(() => void) | null} gives up the leader's lock */
  #abdicate = null;
  #key;
  #host;
  #ways;
  #events;
  #locks;
  #radio;
  #end = new AbortController();
  /** @type {any} */
  #timer = null;

  /** @param {string} key of the user at the edge @param {Host} host @param {() => Ways} ways of a connection @param {GroupEvents} events */
  constructor(key, host, ways, events) {
    this.#key = key;
    this.#host = host;
    this.#ways = ways;
    this.#events = events;
    this.#locks = /** @type {LockManager} */ (host.locks);
    this.id = newKey(host.random);
    this.#radio = /** @type {NonNullable<Host["broadcast"]>} */ (host.broadcast)(key);
    this.#radio.onmessage = ({ data }) => this.#hear(data);
    this.#held = this.#hold(`${key}:${this.id}`);
    this.#stand();
  }
  #held;
  #heardAt = -Infinity; // of the leader
  /** @type {Set<string>} tabs whose end is awaited */
  #minded = new Set();

  get leads() {
    return this.#trunk !== null;
  }

  /** @param {LinkEvents} events @returns {Link} to the leader */
  open(events) {
    /** @type {TabLink} */
    const link = { leader: "", events };
    this.#links.add(link);
    if (this.leads || this.#host.now() - this.#heardAt < FRESH_MS) this.#begin(link);
    else this.#seek();
    return {
      send: (said) => {
        const frames = /** @type {Frame[]} */ (said).map(({ token: _, resume: __, ...frame }) => frame); // who leads shows its own
        if (link.leader === this.id) this.#trunk?.receive(this.id, frames);
        else this.#say({ to: link.leader, frames: JSON.parse(JSON.stringify(frames)) }); // a proxy, as Vue makes them, cannot be cloned
      },
      close: () => void this.#links.delete(link),
    };
  }

  /** Have the leader use these transports. @param {readonly Transport[]} transports */
  prefer(transports) {
    if (this.#trunk) this.#trunk.prefer(transports);
    else this.#say({ to: this.leader, prefer: [...transports] });
  }

  /** Leave: the tab is closed, frozen or put away. @param {number} [code] @param {string} [reason] what the tab's own connection hears */
  close(code = ABNORMAL, reason = "the tab was put away") {
    if (this.#end.signal.aborted) return;
    this.#say({ bye: true });
    this.#end.abort();
    this.#host.clearTimeout(this.#timer);
    this.#radio.onmessage = null;
    this.#radio.close();
    this.#resign();
    this.#lose({ code, reason });
  }

  // --- who leads

  /** Stand in line for the lead. @param {LockOptions} [options] */
  #stand(options = { signal: this.#end.signal }) {
    const over = this.#locks.request(`${this.#key}:leader`, options, () => this.#lead());
    over.catch((error) => {
      // Overthrown while frozen, or left: whoever is still there stands in line again.
      if (this.#end.signal.aborted) return;
      if (error?.name !== "AbortError") return this.#events.refused();
      this.#resign();
      this.#stand();
      this.#seek();
    });
  }

  #lead() {
    if (this.#end.signal.aborted || this.#trunk) return undefined;
    const trunk = new Trunk(this.#ways(), {
      tell: (to, frames) => this.#tell(to, frames),
      closed: (code, reason) => {
        if (this.#trunk !== trunk) return;
        this.#resign();
        this.#events.closed(code, reason);
      },
    });
    this.#trunk = trunk;
    this.#say({ lead: true });
    this.#follow(this.id);
    return new Promise((resolve) => (this.#abdicate = () => resolve(undefined)));
  }

  #resign() {
    const trunk = this.#trunk;
    this.#trunk = null;
    trunk?.close();
    this.#abdicate?.();
    this.#abdicate = null;
    if (trunk) this.leader = "";
  }

  /** @param {string} leader */
  #follow(leader) {
    if (this.leader !== leader) this.#host.clearTimeout(this.#timer);
    this.leader = leader;
    this.#heardAt = this.#host.now();
    for (const link of this.#links) if (link.leader === "") this.#begin(link);
    if ([...this.#links].every((link) => link.leader === leader)) return;
    if (!this.#events.moved()) this.#lose({ code: HANDOVER, reason: "another tab holds the connection now", afterMs: 1 });
  }

  /** Ask who leads. A leader that does not answer is frozen: take the lead by force. */
  #seek() {
    this.leader = "";
    this.#say({ who: true });
    this.#host.clearTimeout(this.#timer);
    this.#timer = this.#host.setTimeout(() => {
      if (this.leader || this.#end.signal.aborted) return;
      this.#stand({ steal: true });
    }, ANSWER_MS * (1 + this.#host.random()));
  }

  /** Hold a lock for as long as this tab lives. @param {string} name @returns {Promise<void>} it is held */
  #hold(name) {
    return new Promise((held) => {
      const hold = () => new Promise((resolve) => (held(), this.#end.signal.addEventListener("abort", resolve)));
      this.#locks.request(name, { signal: this.#end.signal }, hold).catch(() => {});
    });
  }

  /** Learn when a tab is gone, however it goes. @param {string} tab */
  #mind(tab) {
    if (this.#minded.has(tab)) return;
    this.#minded.add(tab);
    const gone = () => {
      this.#minded.delete(tab);
      this.#trunk?.gone(tab);
    };
    this.#locks.request(`${this.#key}:${tab}`, { signal: this.#end.signal }, gone).catch(() => {});
  }

  // --- what is said

  /** @param {TabLink} link */
  #begin(link) {
    link.leader = this.leader;
    this.#held.then(() => this.#links.has(link) && link.events.opened()); // from then on the leader can tell when this tab is gone
  }

  /** @param {Message} message */
  #hear({ from, to, frames, who, lead, bye, prefer }) {
    if (from === this.leader) this.#heardAt = this.#host.now();
    // The lock says who leads, not who speaks last: whoever is overthrown learns it from there.
    if ((who || lead) && this.#trunk) this.#say({ lead: true });
    else if (lead) this.#follow(from);
    if (bye) this.#trunk?.gone(from);
    if (to !== undefined && to !== null && to !== this.id) return;
    if (prefer) this.#trunk?.prefer(prefer);
    if (!frames) return;
    if (this.#trunk && to === this.id) {
      if (frames.some(({ type }) => type === "connect")) this.#mind(from);
      this.#trunk.receive(from, frames);
    } else this.#deliver(from, frames);
  }

  /** @param {string} leader @param {readonly Frame[]} frames */
  #deliver(leader, frames) {
    for (const frame of frames) {
      if (frame.type === "carrier") this.#events.carried((this.carrier = frame["transport"]));
      if (frame.type === "up") this.#events.up();
      if (frame.type === "down" && leader === this.leader) this.#lose({ code: frame["code"], reason: frame["reason"], afterMs: frame["after_ms"], reconnect: true });
    }
    const said = /** @type {any[]} */ (frames.filter(({ type }) => !OF_THE_GROUP.includes(type)));
    for (const link of this.#links) if (link.leader === leader) link.events.receive(said);
  }

  /** The leader speaks. @param {string | null} to @param {Frame[]} frames */
  #tell(to, frames) {
    if (to !== this.id) this.#say({ to, frames });
    // Later, as from another tab: it may be in the middle of saying something, and has not gone over to this link before that is done.
    if (to === null || to === this.id) queueMicrotask(() => this.#deliver(this.id, frames));
  }

  /** @param {import("../core/terms.js").Loss} loss */
  #lose(loss) {
    for (const link of [...this.#links].reverse()) {
      this.#links.delete(link);
      link.events.lost(loss);
    }
  }

  /** @param {Omit<Message, "from">} message */
  #say(message) {
    if (!this.#end.signal.aborted) this.#radio.postMessage({ from: this.id, ...message });
  }
}
