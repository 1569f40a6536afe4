// The user's inbox: what came while nobody looked, how much of it is unread, and the read mark that all devices share.

import { byId } from "./dom.js";
import { Letters } from "./letters.js";
import { yours } from "./words.js";

/**
 * @import { Whimbrel } from "/whimbrel/index.js"
 * @import { ChannelPublication } from "/whimbrel/subscription.js"
 * @import { Log } from "./log.js"
 */

const SHOWN = 40;

/**
 * @param {Whimbrel} client
 * @param {Log} log
 * @param {(publication: ChannelPublication) => {at: number}} book
 * @returns {Letters}
 */
export function followInbox(client, log, book) {
  const letters = new Letters(byId("inbox"), "Nothing for you yet.");
  const complain = (/** @type {Error} */ error) => log.note("disconnected", `inbox: ${error.message}`);

  /** @param {ChannelPublication} publication @param {number} at */
  const add = (publication, at) => letters.add(publication.event_id, yours(publication), at, publication.offset, publication.topic);
  let listed = false;
  const subscription = client.inbox({
    publication: (publication) => {
      if (publication.event === "whimbrel.withdrawn") return letters.takeBack(publication.data);
      if (publication.topic) letters.takeBack({ topic: publication.topic });
      add(publication, book(publication).at);
    },
    // It begins at the read mark: what was read before stands below, once.
    state: ({ state }) => {
      if (state !== "subscribed" || listed) return;
      listed = true;
      client.listInbox({ limit: SHOWN }).then(({ publications, read }) => {
        for (const each of publications.toReversed()) if ((each.offset ?? 0) <= read) letters.addRead(each.event_id, yours(each), Date.parse(each.time));
      }, complain);
    },
    reset: () => {
      client.listInbox({ limit: SHOWN }).then(({ publications, read }) => {
        letters.clear("Nothing for you yet.");
        for (const each of publications) add({ ...each, channel: "inbox" }, Date.parse(each.time));
        letters.readUpTo(read);
      }, complain);
    },
  });
  byId("read").addEventListener("click", () => {
    subscription.ack().catch(complain);
    letters.readUpTo(subscription.position?.offset ?? 0);
  });
  client.on("acked", ({ channel, offset }) => channel === "inbox" && letters.readUpTo(offset));
  return letters;
}
