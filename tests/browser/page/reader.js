// A page that follows one channel and remembers everything it was told; the tests drive it.
import { Whimbrel } from "/whimbrel/index.js";

const told = { numbers: [], states: [], transports: [], resets: 0, sockets: 0, firstMs: null, firstBy: null };
const waiting = new Set();
let client = null;

/** WebSockets that are counted; none where the page has none. */
const counted = window.WebSocket && {
  WebSocket: class extends WebSocket {
    constructor(...asked) {
      super(...asked);
      told.sockets += 1;
    }
  },
};

/** Follow `channel` from its first publication on. */
window.follow = ({ edge, token, channel, options }) => {
  const began = performance.now();
  client = new Whimbrel(edge || location.href, { token: () => token, host: { ...counted }, ...options });
  const note = (list) => (what) => (list.push(what), look());
  client.on("state", note(told.states));
  client.on("transport", note(told.transports));
  client.subscribe(channel, {
    last: 200,
    publication: ({ data }) => {
      told.firstMs ??= Math.round(performance.now() - began);
      told.firstBy ??= client.transport;
      told.numbers.push(data.number);
      look();
    },
    reset: () => (told.resets += 1),
  });
};

window.told = () => ({ ...told, state: client.state, transport: client.transport, counters: client.counters });

/** Wait until `condition`, an expression of `told` and `client`, is true. */
window.until = (condition) =>
  new Promise((resolve) => {
    waiting.add([new Function("told", "client", `return ${condition}`), resolve]);
    look();
  });

function look() {
  for (const each of waiting) {
    if (!each[0](told, client)) continue;
    waiting.delete(each);
    each[1](true);
  }
}
