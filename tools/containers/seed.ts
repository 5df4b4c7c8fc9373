import { seedCatalogue } from '../seed.ts';

/** Puts the sample catalogue in, once: PRODUCT_URL and STOCK_URL say where. Running it again changes nothing. */
const { PRODUCT_URL: productUrl, STOCK_URL: stockUrl } = process.env;
if (!productUrl || !stockUrl) throw new Error('PRODUCT_URL and STOCK_URL must say where the services are');
const { products } = await seedCatalogue({
  productUrl,
  stockUrl,
  onProgress: (line) => process.stdout.write(`${line}\n`),
});
process.stdout.write(`the catalogue is there: ${products} products\n`);
