import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { type Product, ProductService } from '@tradewind/contracts/product/v1/product';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { type Client, createClient } from '@tradewind/rpc/client';

/** One line of the catalogue's file: a product, its price in minor units, and the pieces to begin with. */
export interface CatalogueEntry {
  readonly name: string;
  readonly description: string;
  readonly price: number;
  readonly currency: string;
  readonly category: string;
  readonly brand: string;
  readonly stock: number;
}

export interface SeedOptions {
  readonly productUrl: string;
  readonly stockUrl: string;
  /** The catalogue's file; the example's when left out. */
  readonly file?: string | URL;
  readonly signal?: AbortSignal;
  /** A line for people. */
  readonly onProgress?: (line: string) => void;
}

export interface TalkSeedOptions {
  readonly ratingsUrl: string;
  readonly signal?: AbortSignal;
}

interface Services {
  readonly products: Client<typeof ProductService>['call'];
  readonly stock: Client<typeof StockService>['call'];
  readonly signal: AbortSignal | undefined;
  readonly say: (line: string) => void;
}

const CATALOGUE = new URL('../examples/data/catalogue.json', import.meta.url);
const PAGE = 1_000;

/**
 * Loads a catalogue through the services' public calls, in the file's order, so that on new databases ids are 1, 2, 3 …. Running it again
 * changes nothing; running it after it was interrupted goes on where it stopped. What people changed, sold or deleted stays so.
 * @returns how many of the file's products are in the catalogue
 */
export async function seedCatalogue(options: SeedOptions): Promise<{ products: number }> {
  const { productUrl, stockUrl, file = CATALOGUE, signal, onProgress = () => undefined } = options;
  const entries = JSON.parse(await readFile(file, 'utf8')) as CatalogueEntry[];
  await using products = createClient(ProductService, {
    baseUrl: productUrl,
    timeoutMs: 20_000,
    retry: { attempts: 8 },
  });
  await using stock = createClient(StockService, {
    baseUrl: stockUrl,
    timeoutMs: 20_000,
    retry: { attempts: 8 },
  });
  const services: Services = { products: products.call, stock: stock.call, signal, say: onProgress };
  const there = await createMissing(services, entries);
  await stockUntouched(services, entries, there);
  return { products: there.size };
}

/** Talks to rate. */
const TALKS = [
  { id: 'testcontainers-integration-testing', title: 'Integration testing with Testcontainers' },
  { id: 'flight-of-the-gopher', title: 'Flight of the gopher' },
];

/** Makes two talks known, through the public call. Running it again changes nothing. */
export async function seedTalks({ ratingsUrl, signal }: TalkSeedOptions): Promise<void> {
  await using ratings = createClient(RatingsService, {
    baseUrl: ratingsUrl,
    timeoutMs: 20_000,
    retry: { attempts: 8 },
  });
  for (const talk of TALKS) {
    await ratings.call
      .createTalk(talk, {
        headers: { 'idempotency-key': `seed/talk/${talk.id}` },
        ...(signal && { signal }),
      })
      .catch((error: unknown) => {
        if (!(error instanceof ConnectError) || error.code !== Code.AlreadyExists) throw error;
      });
  }
}

/** The file's products that are in the catalogue, by their name in the file, after those that never were have been created. */
async function createMissing(
  services: Services,
  entries: readonly CatalogueEntry[],
): Promise<Map<string, Product>> {
  const { products, signal, say } = services;
  const catalogue = await wholeCatalogue(services);
  const there = known(entries, catalogue);
  // They are created one after the other. So what is missing before the last that is there was deleted by somebody, and when people
  // have gone on with products of their own, all that is missing was.
  const own = new Set([...there.values()].map(({ id }) => id));
  const goneOn = catalogue.some(({ id }) => id > entries.length && !own.has(id));
  const next = goneOn ? entries.length : entries.findLastIndex(({ name }) => there.has(name)) + 1;
  for (const [index, entry] of entries.entries()) {
    if (index < next) continue;
    const { stock: _, price, ...fields } = entry;
    const options = { headers: { 'idempotency-key': keyOf('product', entry) }, ...(signal && { signal }) };
    const { product } = await products.createProduct({ ...fields, price: BigInt(price) }, options);
    if (product) there.set(entry.name, product);
    if ((index + 1) % 10 === 0) say(`products: ${index + 1} of ${entries.length}`);
  }
  return there;
}

async function wholeCatalogue({ products, signal }: Services): Promise<Product[]> {
  const catalogue: Product[] = [];
  let pageToken = '';
  do {
    const page = await products.listProducts({ pageSize: PAGE, pageToken }, signal ? { signal } : {});
    catalogue.push(...page.products);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return catalogue;
}

/** The entries' products: those of the same name, or, when they were renamed, of the same description. */
function known(entries: readonly CatalogueEntry[], catalogue: readonly Product[]): Map<string, Product> {
  const there = new Map<string, Product>();
  for (const { name, description } of entries) {
    const product =
      catalogue.find((candidate) => candidate.name === name) ??
      catalogue.find((candidate) => candidate.description === description);
    if (product) there.set(name, product);
  }
  return there;
}

/** Puts in the stock of those products that nothing was ever put in for. */
async function stockUntouched(
  { stock, signal, say }: Services,
  entries: readonly CatalogueEntry[],
  there: ReadonlyMap<string, Product>,
): Promise<void> {
  const options = signal ? { signal } : {};
  const productIds = [...there.values()].map(({ id }) => id);
  const touched = new Set<number>();
  for (let at = 0; at < productIds.length; at += PAGE) {
    const { stocks } = await stock.batchGetStock({ productIds: productIds.slice(at, at + PAGE) }, options);
    for (const { productId, putIn, quantity } of stocks)
      if (putIn !== 0n || quantity !== 0n) touched.add(productId);
  }
  const empty = entries.flatMap((entry) => {
    const id = there.get(entry.name)?.id;
    return id === undefined || touched.has(id) ? [] : [{ id, entry }];
  });
  for (const { id, entry } of empty) {
    const headers = { 'idempotency-key': keyOf(`stock/${id}`, entry) };
    await stock
      .setStock({ productId: id, quantity: BigInt(entry.stock) }, { headers, ...options })
      .catch(unlessDeleted);
  }
  if (empty.length > 0) say(`stock of ${empty.length} products put in`);
}

/** The catalogue and stock do not hear of a deletion at the same moment. */
function unlessDeleted(error: unknown): void {
  if (!(error instanceof ConnectError) || error.code !== Code.FailedPrecondition) throw error;
}

/** The same entry has the same key, a changed one another, so that a repeat is recognised and a correction is not refused. */
function keyOf(what: string, entry: CatalogueEntry): string {
  return `seed/${what}/${createHash('sha256').update(JSON.stringify(entry)).digest('base64url').slice(0, 22)}`;
}
