// The yardstick of ratings, in a process of its own: plain Fastify and node-pg, one INSERT, one SELECT by key. Argument: the database's URL.
import Fastify from 'fastify';
import { Pool } from 'pg';
import { v7 } from 'uuid';
import { answerParent } from './worker.ts';

/** Connections: what node-pg opens, doubled. */
const CONNECTIONS = 20;

/** Where it answers. */
export interface PlainAnswer {
  readonly url: string;
}

const pool = new Pool({ connectionString: process.argv[2], max: CONNECTIONS, application_name: 'baseline' });
const app = Fastify();
const body = {
  type: 'object',
  required: ['talkId', 'value'],
  properties: { talkId: { type: 'string' }, value: { type: 'integer', minimum: 1, maximum: 5 } },
};

app.post<{ Body: { talkId: string; value: number } }>(
  '/ratings',
  { schema: { body } },
  async (request, reply) => {
    const { talkId, value } = request.body;
    const id = v7();
    await pool.query({
      name: 'rate',
      text: 'INSERT INTO rating (id, talk_id, value, created_at) VALUES ($1, $2, $3, $4)',
      values: [id, talkId, value, new Date()],
    });
    return await reply.code(201).send({ id, talkId, value });
  },
);

app.get<{ Params: { id: string } }>('/subjects/:id', async (request, reply) => {
  const { rows } = await pool.query({
    name: 'show',
    text: 'SELECT id, average, total, changed_at FROM summary WHERE id = $1',
    values: [request.params.id],
  });
  return rows[0] ?? (await reply.code(404).send());
});

const started = pool
  .query(
    `CREATE TABLE IF NOT EXISTS rating (id uuid PRIMARY KEY, talk_id text NOT NULL, value smallint NOT NULL, created_at timestamptz NOT NULL);
     CREATE TABLE IF NOT EXISTS summary (id text PRIMARY KEY, average float8 NOT NULL, total bigint NOT NULL, changed_at timestamptz NOT NULL);
     INSERT INTO summary SELECT 's-' || n, 3.5, n, now() FROM generate_series(0, 999) AS n ON CONFLICT DO NOTHING`,
  )
  .then(() => app.listen({ host: '127.0.0.1', port: 0 }));

answerParent(async (): Promise<PlainAnswer> => ({ url: await started }));
