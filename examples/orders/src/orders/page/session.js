// What goes on behind the connection: which tab holds it, when the token is renewed, how often it was opened.

import { show } from "./dom.js";

/** @import { Whimbrel } from "/whimbrel/index.js" */

const REFRESH_MS = 500;
const AHEAD_S = 30; // the edge asks for a new token so long before the old one ends

/** Asks for tokens, and keeps books of it. */
export class Tokens {
  #signIn;
  #asked = 0;
  #dueAt = 0;

  /** @param {() => Promise<{token: string, expires_in: number}>} signIn */
  constructor(signIn) {
    this.#signIn = signIn;
  }

  /** The client's token provider. @returns {Promise<string>} */
  take = async () => {
    const { token, expires_in } = await this.#signIn();
    this.#asked += 1;
    this.#dueAt = Date.now() + (expires_in - AHEAD_S) * 1_000;
    return token;
  };

  /** @returns {string} */
  get inWords() {
    const renewed = `renewed ${Math.max(0, this.#asked - 1)}×`;
    const left = Math.round((this.#dueAt - Date.now()) / 1_000);
    return left > 0 ? `${renewed}, next in ${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` : renewed;
  }
}

/** @param {Whimbrel} client @param {Tokens} tokens @param {string} channel of which it is asked who is there */
export function showSession(client, tokens, channel) {
  let moves = 0;
  client.on("state", ({ state }) => {
    if (state !== "connected") return;
    client.presence(channel).then(
      (users) => show("presence", `${users.length} on the board`),
      (error) => show("presence", `${error.slug} (${error.code})`),
    );
  });
  client.on("transport", () => (moves += 1));
  setInterval(() => {
    const { connects, gaps, resets } = client.counters;
    show("holder", client.leads ? "this tab, for this browser" : "another tab of this browser");
    show("token", client.leads ? tokens.inWords : "renewed by that tab");
    show("connects", `opened ${connects}×, moved ${moves}×`);
    show("gaps", `${gaps} mended, ${resets} past mending`);
    show("channels", `in ${Object.keys(client.positions).length} channels`);
  }, REFRESH_MS);
}
