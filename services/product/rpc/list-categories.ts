import type { ProductService } from '@tradewind/contracts/product/v1/product';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';

// Steps from one category to the next along the index, so that it costs what there are categories, not products.
const categories = `
  WITH RECURSIVE category_step (category) AS (
    SELECT min(category) FROM product WHERE deleted_at IS NULL AND category > ''
    UNION ALL
    SELECT (SELECT min(category) FROM product WHERE deleted_at IS NULL AND category > step.category)
    FROM category_step step WHERE step.category IS NOT NULL
  )
  SELECT category FROM category_step WHERE category IS NOT NULL`;

export function listCategories({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof ProductService.method.listCategories> {
  return async () => {
    const rows = await database.read().execute<{ category: string }[]>(categories);
    return { categories: rows.map(({ category }) => category) };
  };
}
