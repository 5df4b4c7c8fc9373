/** An error as every route answers it. */
export const failure = (description: string) => ({
  description,
  type: 'object',
  properties: {
    status: { type: 'integer' },
    message: { type: 'string' },
    details: {
      type: 'array',
      items: { type: 'object', properties: { field: { type: 'string' }, error: { type: 'string' } } },
    },
    trace_id: { type: 'string' },
  },
});
export const invalid = failure('The request can not be right; `details` names each field.');
export const unknown = failure('Nobody knows what the request names; `details` says which field.');
export const conflict = failure(
  'It is there already, or may not be done any more; or the Idempotency-Key was used for another request.',
);
export const idempotent = {
  type: 'object',
  properties: {
    'Idempotency-Key': {
      type: 'string',
      description:
        '1 to 255 printable ASCII characters. A repeat within 24 hours gives the first answer again and changes nothing.',
    },
  },
} as const;
/** The path's parameter. */
export const byId = (description: string) =>
  ({ type: 'object', required: ['id'], properties: { id: { type: 'string', description } } }) as const;
export const uuid = { type: 'string', format: 'uuid' } as const;
export const time = { type: 'string', format: 'date-time' } as const;
// The contract says how large it may be, and how that is said.
export const stars = { type: 'integer', description: '1 to 5.' } as const;
export const comment = { type: 'string', description: 'Up to 100 characters.' } as const;

/** A rating for the contract to judge; what is too large for its type becomes 0, which is refused the same way. */
export function starsOf(value: number): number {
  return Math.abs(value) < 1_000 ? value : 0;
}
