export interface Progress {
  /** Draws how far it is; a total of 0 means that nobody knows. */
  show(label: string, done: number, total: number): void;
  /** Takes the bar away, so that something else can be printed. */
  clear(): void;
}

const barWidth = 30;
const redrawMs = 100;
const lineMs = 2_000;

/** A bar that is drawn in place on a terminal, and a plain line every two seconds anywhere else. */
export function createProgress(out: NodeJS.WriteStream): Progress {
  let last = { at: Number.NEGATIVE_INFINITY, label: '' };
  let began = performance.now();
  let drawn = false;
  const due = (label: string, finished: boolean) => {
    const now = performance.now();
    if (label !== last.label) began = now;
    const every = out.isTTY ? redrawMs : lineMs;
    if (label === last.label && !finished && now - last.at < every) return false;
    last = { at: now, label };
    return true;
  };
  return {
    show(label, done, total) {
      if (!due(label, total > 0 && done >= total)) return;
      const text = line(label, done, total, (performance.now() - began) / 1_000);
      out.write(out.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
      drawn = out.isTTY;
    },
    clear() {
      if (drawn) out.write('\r\x1b[K');
      drawn = false;
    },
  };
}

function line(label: string, done: number, total: number, seconds: number): string {
  if (total === 0) return `${label} …`;
  const share = Math.min(1, done / total);
  const filled = Math.round(share * barWidth);
  const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled);
  const rate = seconds > 0.2 ? ` ${Math.round(done / seconds)}/s` : '';
  return `${label.padEnd(8)} ${bar} ${Math.floor(share * 100)}% ${done}/${total}${rate}`;
}
