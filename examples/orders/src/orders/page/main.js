// The page: signs in, follows its channels, and puts everything in its place.

import { Whimbrel } from "/whimbrel/index.js";

import { Board } from "./board.js";
import { Presence, showConnection } from "./connection.js";
import { byId, element, show } from "./dom.js";
import { followInbox } from "./inbox.js";
import { Ledger } from "./ledger.js";
import { Letters } from "./letters.js";
import { Line } from "./line.js";
import { Log } from "./log.js";
import { followNotes } from "./notes.js";
import { showSession, Tokens } from "./session.js";
import { Shop, ShopError } from "./shop.js";
import { briefly, drawSparkline } from "./sparkline.js";
import { showTimeline } from "./timeline.js";
import { followTyping } from "./typing.js";
import { Watch } from "./watch.js";
import { describe, orderOf } from "./words.js";

/**
 * @import { ChannelPublication } from "/whimbrel/subscription.js"
 * @import { Order } from "./board.js"
 */

const BOARD = "orders:board";
const VIP = "group:vip";
const SECOND_MS = 1_000;
const MEMBERS_MS = 3_000;

const user = new URLSearchParams(location.search).get("user");
if (user) open(user);
else byId("door").hidden = false;

/** @param {string} user */
async function open(user) {
  byId("stage").hidden = false;
  dress(user);
  const line = new Line();
  const shop = new Shop(line.fetch);
  const session = await signIn(shop, user);
  if (!session) return;
  const tokens = new Tokens(() => shop.signIn(user));
  const client = new Whimbrel(session.edge, { token: tokens.take, host: { fetch: line.fetch, WebSocket: line.WebSocket } });

  const opened = Date.now();
  const presence = new Presence();
  const ledger = new Ledger();
  const log = new Log(byId("log"));
  const board = new Board(byId("stage").querySelector(".board") ?? document.body, user, (id) => showTimeline(client, id));
  const offers = new Letters(byId("offers"), "Join to hear what only members hear.");
  const watch = new Watch(client, shop, () => board.underWay);
  showConnection(client, line, log, presence);
  showSession(client, tokens, BOARD);

  /** @param {ChannelPublication} publication @param {Node} text @returns {{away: boolean, at: number}} */
  const book = (publication, text) => {
    const { channel, event_id, offset } = publication;
    const at = timeOf(publication.time);
    const away = at <= presence.backAt;
    const latencyMs = Math.max(0, performance.timeOrigin + performance.now() - at);
    if (at >= opened || channel === BOARD) {
      ledger.take(channel, publication, { latencyMs, away });
      const status = orderOf(publication)?.status;
      log.write({ id: event_id, channel, at, text, ...(status && { status }), ...(offset != null && { offset }), latencyMs, away });
    }
    return { away, at };
  };

  /** @type {Set<Order[]>} what is told while the shop is asked, whose answer may be older */
  const asking = new Set();
  const load = async () => {
    /** @type {Order[]} */
    const told = [];
    asking.add(told);
    try {
      board.load((await shop.board()).orders);
    } finally {
      asking.delete(told);
    }
    for (const order of told) board.apply(order, false);
    watch.next();
  };
  client.subscribe(BOARD, {
    publication: (publication) => {
      const { away } = book(publication, describe(publication));
      const order = orderOf(publication);
      if (!order) return;
      for (const told of asking) told.push(order);
      board.apply(order, away);
    },
    state: ({ state }) => state === "subscribed" && load(),
    reset: () => {
      ledger.restart();
      log.note("connecting", "the history has a hole: the board was loaded anew");
      load();
    },
  });
  const inbox = followInbox(client, log, (publication) => book(publication, describe(publication)));
  client.on("error", (error) => log.note("disconnected", error.message));

  followVip(client, shop, user, offers, book);
  followTyping(client, user);
  followNotes(client, user);
  takeOrders(shop, user, log);
  if (session.leader) offerToKill(shop, log);

  let missing = 0;
  setInterval(() => {
    // A number that is merely overtaken is not missing: only what is still absent a second later counts.
    show("missed", String(Math.min(missing, ledger.missing)));
    document.querySelector('[data-testid="missed"]')?.closest(".tile")?.classList.toggle("wrong", Math.min(missing, ledger.missing) > 0);
    missing = ledger.missing;
  }, SECOND_MS);
  setInterval(() => {
    show("received", String(ledger.received));
    show("away", String(ledger.away));
    document.querySelector(".tile.away")?.classList.toggle("some", ledger.away > 0);
    show("repeated", String(ledger.repeated));
    show("dropped", String(client.counters.duplicates));
    show("p50", briefly(ledger.percentile(0.5)));
    show("p99", briefly(ledger.percentile(0.99)));
    show("unread", String(inbox.unread));
    byId("stage").querySelector(".count")?.toggleAttribute("data-empty", inbox.unread === 0);
    drawSparkline(/** @type {SVGElement} */ (/** @type {unknown} */ (byId("spark"))), ledger.latencies);
  }, 200);
}

/**
 * @param {Whimbrel} client
 * @param {Shop} shop
 * @param {string} user
 * @param {Letters} offers
 * @param {(publication: ChannelPublication, text: Node) => {at: number}} book
 */
function followVip(client, shop, user, offers, book) {
  const toggle = byId("vip");
  const showMembers = async () => {
    const members = await shop.vips().catch(() => null);
    if (members) show("vip-members", members.length > 0 ? members.join(", ") : "nobody");
  };
  const follow = () =>
    client.subscribe(VIP, {
      publication: (publication) => {
        const { at } = book(publication, describe(publication));
        offers.add(publication.event_id, describe(publication), at, undefined);
      },
      state: ({ state }) => draw(state === "subscribed"),
    });
  /** @param {boolean} member */
  const draw = (member) => {
    toggle.setAttribute("aria-checked", String(member));
    if (!member) offers.clear("Join to hear what only members hear.");
    else if (offers.unread === 0) offers.clear("You are a member: the next offer is yours.");
    showMembers();
  };
  let subscription = follow();
  toggle.addEventListener("click", async () => {
    const join = toggle.getAttribute("aria-checked") !== "true";
    try {
      await shop.setVip(user, join);
    } catch {
      return show("vip-members", "the shop does not answer");
    }
    if (!join || subscription.state === "subscribed") return;
    subscription.unsubscribe(); // was refused: ask again, for now we may
    subscription = follow();
  });
  // Others join and leave, of which this page hears no event.
  setInterval(() => !document.hidden && showMembers(), MEMBERS_MS);
}

/** @param {Shop} shop @param {string} user @param {Log} log */
async function takeOrders(shop, user, log) {
  const form = byId("order");
  const item = /** @type {HTMLSelectElement} */ (byId("item"));
  item.append(...(await shop.board()).items.map((each) => element("option", {}, each)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    shop.place(user, item.value).catch(() => log.note("disconnected", "the order did not reach the shop"));
  });
}

/** Where a cluster keeps the streams: kill the server that takes the board's. @param {Shop} shop @param {Log} log */
function offerToKill(shop, log) {
  const button = /** @type {HTMLButtonElement} */ (byId("leader"));
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    log.note("connecting", await shop.killLeader().catch(() => "the leader could not be killed"));
    button.disabled = false;
  });
}

/** Show whose page this is, and offer to watch another user's beside it. @param {string} user */
function dress(user) {
  const [other, called] = user === "alice" ? ["bob", "Bob"] : ["alice", "Alice"];
  const embedded = window !== window.top;
  for (const link of document.querySelectorAll("[data-user]")) if (link.getAttribute("data-user") === user) link.setAttribute("aria-current", "page");
  for (const name of document.querySelectorAll(".own-name")) name.textContent = user;
  for (const each of document.querySelectorAll(".own-window")) each.toggleAttribute("hidden", embedded);
  document.title = `${user} · Orders, live`;
  byId("tab").setAttribute("href", `/?user=${user}`);
  const split = byId("split");
  const second = byId("second");
  const draw = () => (split.textContent = second.hidden ? `Watch as ${called} beside` : `Close ${called}'s pane`);
  split.addEventListener("click", () => {
    second.hidden = !second.hidden;
    if (second.hidden) second.removeAttribute("src");
    else second.setAttribute("src", `/?user=${other}`);
    byId("stage").classList.toggle("split", !second.hidden);
    split.setAttribute("aria-pressed", String(!second.hidden));
    draw();
  });
  draw();
}

/** @param {string} text RFC 3339 @returns {number} Unix ms, with its microseconds */
function timeOf(text) {
  const micros = /\.\d{3}(\d{1,3})/.exec(text)?.[1] ?? "0";
  return Date.parse(text) + Number(`0.${micros}`);
}

/**
 * @param {Shop} shop
 * @param {string} user
 * @returns {Promise<{edge: string, leader: boolean} | null>} null where the shop knows no such user: the page says so at the door
 */
async function signIn(shop, user) {
  for (;;) {
    try {
      return await shop.signIn(user);
    } catch (error) {
      if (error instanceof ShopError && error.status < 500) {
        byId("refused").textContent = `The shop knows no “${user}”: sign in as Alice or Bob.`;
        byId("stage").hidden = true;
        byId("door").hidden = byId("refused").hidden = false;
        document.title = "Orders, live · Whimbrel";
        return null;
      }
      show("why", "the shop does not answer yet");
      await new Promise((resolve) => setTimeout(resolve, SECOND_MS));
    }
  }
}
