/**
 * Whether an Accept header asks for text/plain by name and wants JSON less: by its weight, else by what is named first.
 * `*∕*` alone is no wish for text.
 */
export function prefersText(accept: string | undefined): boolean {
  if (!accept || !/text\/plain/i.test(accept)) return false;
  let text = 0;
  let json = 0;
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const given = parameters.find((parameter) => parameter.startsWith('q='));
    const weight = given === undefined ? 1 : Number(given.slice(2)) || 0;
    if (type === 'text/plain' && weight > json) text = Math.max(text, weight);
    else if (type === 'application/json' && weight > text) json = weight;
  }
  return text > json;
}
