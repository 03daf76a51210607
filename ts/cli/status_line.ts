/** One line that is redrawn on a terminal. */
export interface StatusLine {
  readonly show: (text: string) => void;
  readonly clear: () => void;
}

/** On standard error, so that it never mixes with results; nothing where that is no terminal. */
export function openStatusLine(stream: NodeJS.WriteStream = process.stderr): StatusLine {
  if (stream.isTTY !== true) return { show: () => {}, clear: () => {} };
  const erase = () => {
    stream.cursorTo(0);
    stream.clearLine(0);
  };
  return {
    show: (text) => {
      erase();
      stream.write(text.slice(0, (stream.columns ?? 80) - 1));
    },
    clear: erase,
  };
}
