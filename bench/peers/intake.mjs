/** Call `publish(channel, frame)` for each line `CHANNEL<tab>FRAME` on standard input: the cheapest way in there is. */
export function takeIn(publish) {
  let rest = "";
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const tab = line.indexOf("\t");
      publish(line.slice(0, tab), line.slice(tab + 1));
    }
  });
  process.stdin.on("end", () => process.exit());
}
