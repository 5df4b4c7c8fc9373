import type { Cpu, Rate, RatingsBench, Visible } from './ratings.ts';
import { type Line, ms, ratio, whole } from './report-line.ts';

export function ratingLines({ accepted, reads, steady, besideHot, even }: RatingsBench): Line[] {
  return [
    [
      'ratings accepted/s (yardstick: plain Fastify and node-pg, one INSERT)',
      whole(accepted.perSecond),
      whole(accepted.plainPerSecond),
      ratio(accepted.ratio),
    ],
    [
      '  answer p50 / p99, ms, every client busy',
      `${ms(accepted.answerMs.p50)} / ${ms(accepted.answerMs.p99)}`,
    ],
    cpuLine(accepted),
    [
      'reads of averages/s (yardstick: plain Fastify and node-pg, one SELECT)',
      whole(reads.perSecond),
      whole(reads.plainPerSecond),
      ratio(reads.ratio),
    ],
    cpuLine(reads),
    ...steady.map(
      ({ rate, acceptedMs, visibleMs }): Line => [
        `at ${whole(rate)}/s: due to counted p50 / p99, ms (to 201: ${ms(acceptedMs.p50)} / ${ms(acceptedMs.p99)})`,
        `${ms(visibleMs.p50)} / ${ms(visibleMs.p99)}`,
      ],
    ),
    hotLine('p50', besideHot, even),
    hotLine('p99', besideHot, even),
  ];
}

function cpuLine({ cpuMicros: ours, plainCpuMicros: plain }: Rate): Line {
  const total = ({ server, postgres }: Cpu) => server + postgres;
  const shown = ({ server, postgres }: Cpu) => `${whole(server)} + ${whole(postgres)}`;
  return ['  CPU µs, server + PostgreSQL', shown(ours), shown(plain), ratio(total(plain) / total(ours))];
}

function hotLine(which: 'p50' | 'p99', hot: Visible, even: Visible): Line {
  return [
    `due to counted ${which}, ms, beside a hot talk, ${whole(hot.rate)}/s in all (yardstick: none is hot)`,
    ms(hot.visibleMs[which]),
    ms(even.visibleMs[which]),
    ratio(hot.visibleMs[which] / even.visibleMs[which]),
  ];
}
