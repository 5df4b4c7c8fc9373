import type { Logger } from '@tradewind/telemetry/logger';
import type { EventLog } from './log.ts';
import { openPostgresLog } from './postgres-log.ts';

export interface OpenLogOptions {
  readonly url: string;
  readonly logger: Logger;
}

/** Opens the event log that a URL names: postgres:// or postgresql://. Rejects when it can't be reached now. */
export async function openLog({ url, logger }: OpenLogOptions): Promise<EventLog> {
  const { protocol } = new URL(url);
  if (protocol === 'postgres:' || protocol === 'postgresql:') return await openPostgresLog({ url, logger });
  throw new Error(`no event log adapter for ${protocol}//`);
}
