import { seedCatalogue, seedTalks } from '../seed.ts';

/** Puts the sample catalogue and the talks in, once: PRODUCT_URL, STOCK_URL and RATINGS_URL say where. Running it again changes nothing. */
const { PRODUCT_URL: productUrl, STOCK_URL: stockUrl, RATINGS_URL: ratingsUrl } = process.env;
if (!productUrl || !stockUrl || !ratingsUrl)
  throw new Error('PRODUCT_URL, STOCK_URL and RATINGS_URL must say where the services are');
const onProgress = (line: string) => void process.stdout.write(`${line}\n`);
const { products } = await seedCatalogue({ productUrl, stockUrl, onProgress });
onProgress(`the catalogue is there: ${products} products`);
await seedTalks({ ratingsUrl });
onProgress('the talks are there');
