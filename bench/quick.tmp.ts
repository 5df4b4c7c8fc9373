import { rpcBench } from './rpc.ts';
const r = await rpcBench({ rounds: 60, callsPerRound: 1000 }) as any;
const q = (v: number[], p: number) => [...v].sort((a, b) => a - b)[Math.floor(v.length * p)]!;
for (const p of [0, 0.1, 0.25, 0.5]) console.log(p, q(r.ours, p).toFixed(1), q(r.bare, p).toFixed(1), (q(r.ours, p) / q(r.bare, p)).toFixed(2));
process.exit();
