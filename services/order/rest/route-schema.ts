/** The path's parameter. */
export const byId = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'string', description: "The order's id, a UUID." } },
} as const;
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
  },
});
export const invalid = failure('The request can not be right; `details` names each field.');
export const unknown = failure('There is no such order.');
export const busy = failure('Too many ask at the same time; `retry-after` says when to ask again.');
