import type { AuditReport, RunReport } from './audit.ts';
import { findings } from './findings.ts';
import type { Latency } from './measure.ts';
import type { LoadReport } from './replay.ts';
import { formatRatingRun, formatRatings } from './report-ratings.ts';

/** What a replay came to, for people. */
export function formatLoad(report: LoadReport): string {
  const { seconds, stuck, refused, unanswered, retries, restocked, clockSkewMs } = report;
  const again = Object.entries(retries).map(([code, count]) => `${count} ${code}`);
  const lines = [
    `run ${report.run}, ${report.clients} clients, ${report.protocol}`,
    restocked && `restocked  ${restocked.products} products moved, ${restocked.left} pieces in all`,
    `accepted   ${report.accepted} of ${report.orders} orders in ${seconds.accepted.toFixed(2)} s: ${perSecond(report.acceptedPerSecond)} orders/s, answered in ${formatLatency(report.answerMs)}`,
    again.length > 0 && `repeated   attempts that failed: ${again.join(', ')}`,
    `settled    in ${seconds.settled.toFixed(2)} s: ${perSecond(report.settledPerSecond)} sagas/s, request to settled ${formatLatency(report.settledMs)}`,
    clockSkewMs > 5 &&
      `           not to be trusted: the order service's clock is ${clockSkewMs.toFixed(0)} ms or more away from this machine's`,
    `outcome    ${report.confirmed} confirmed, ${report.cancelled} cancelled, ${stuck.length} stuck`,
    ...findings('stuck: still PENDING', stuck),
    ...findings(
      'refused',
      refused.map(({ order, error }) => `${order.key}: ${error}`),
    ),
    ...findings(
      'not answered',
      unanswered.map(({ order, error }) => `${order.key}: ${error}`),
    ),
    ...(report.ratings ? formatRatingRun(report.ratings) : []),
    report.audit && formatAudit(report.audit),
  ];
  return lines.filter((line) => line !== undefined && line !== false).join('\n');
}

/** What an audit found, for people. */
export function formatAudit(report: AuditReport): string {
  const { orders, off, products } = report;
  const balances = off.map(
    ({ productId, listed, putIn, left, held, difference }) =>
      `product ${productId}${listed ? '' : ' (unknown to stock)'}: put in ${putIn}, left ${left}, held by orders ${held}: ${Math.abs(difference)} too ${difference > 0 ? 'many' : 'few'}`,
  );
  return [
    `audit      ${orders.total} orders (${orders.confirmed} confirmed, ${orders.cancelled} cancelled), ${products} products: ${report.ok ? 'all is as it must be' : 'NOT as it must be'}`,
    ...(report.atRest ? [] : ['  never at rest: other traffic goes on, so what follows is not certain']),
    ...findings('stuck: still PENDING', report.stuck),
    ...findings('listed twice', report.listedTwice),
    ...findings('put in is not left + held', balances),
    ...formatRuns(report.runs),
    ...(report.ratings ? formatRatings(report.ratings) : []),
  ].join('\n');
}

/** Runs that were only found, and are as they must be, are not worth a line each. */
function formatRuns(runs: readonly RunReport[]): string[] {
  const telling = runs.filter(
    (run) => run.whole || run.lost.length + run.repeated.length + run.surplus.length > 0,
  );
  const fine = runs.length - telling.length;
  const others = fine > 0 ? [`  ${fine} other runs: nothing in them that the file does not have`] : [];
  return [...telling.flatMap(formatRun), ...others];
}

function formatRun({ tag, found, expected, whole, lost, repeated, missing, surplus }: RunReport): string[] {
  const interrupted =
    !whole && missing.length > 0 ? ` (${expected - found} rows were not ordered: interrupted?)` : '';
  return [
    `  run ${tag}: ${found} of ${expected} orders${interrupted}`,
    ...findings('lost: named in an answer, and not there as asked for', lost),
    ...findings('given in more than one answer', repeated),
    ...findings('missing: rows without an order', whole ? missing : []),
    ...findings('surplus: orders that no row asks for', surplus),
  ];
}

const perSecond = (rate: number) => Math.round(rate).toLocaleString('en');

function formatLatency({ p50, p95, p99 }: Latency): string {
  return `p50 ${milliseconds(p50)} p95 ${milliseconds(p95)} p99 ${milliseconds(p99)}`;
}

const milliseconds = (value: number) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
