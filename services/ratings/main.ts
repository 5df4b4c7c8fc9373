import { main } from '@tradewind/service/run';
import { service } from './service.ts';

await main(service);
