/** What a client must speak on the listener for clients. */
export type ListenerProtocol = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL';

/** One more plain listener for clients, which are told to go on with `advertisedPort`: a way of its own through a proxy of its own. */
export interface SideListener {
  readonly port: number;
  readonly advertisedPort: number;
}

export interface Listeners {
  /** For clients; told to them as `advertisedPort`, which a proxy may hold. */
  readonly port: number;
  readonly advertisedPort: number;
  readonly protocol: ListenerProtocol;
  /** Always plain: for the readiness check and for whoever prepares a secured broker. */
  readonly internalPort: number;
  readonly controllerPort: number;
  readonly sides: readonly SideListener[];
}

/**
 * The broker's server.properties: one node that is broker and controller, on 127.0.0.1 alone. Durability is Kafka's own: an acknowledged
 * record outlives the process, kill -9 included.
 * @param own settings on top, which win
 */
export function serverProperties(
  dataDir: string,
  { port, advertisedPort, protocol, internalPort, controllerPort, sides }: Listeners,
  own: Readonly<Record<string, string>>,
): string {
  const here = '127.0.0.1';
  const side = (name: 'port' | 'advertisedPort') =>
    sides.map((listener, n) => `,SIDE${n}://${here}:${listener[name]}`).join('');
  const plain = sides.map((_, n) => `,SIDE${n}:PLAINTEXT`).join('');
  const settings: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@${here}:${controllerPort}`,
    listeners: `CLIENT://${here}:${port},INTERNAL://${here}:${internalPort},CONTROLLER://${here}:${controllerPort}${side('port')}`,
    'advertised.listeners': `CLIENT://${here}:${advertisedPort},INTERNAL://${here}:${internalPort}${side('advertisedPort')}`,
    'listener.security.protocol.map': `CLIENT:${protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT${plain}`,
    'inter.broker.listener.name': 'INTERNAL',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': dataDir,
    // Topics come from the contracts, never from a misspelt name.
    'auto.create.topics.enable': 'false',
    'default.replication.factor': '1',
    'min.insync.replicas': '1',
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    // One node carries few groups: fifty partitions for their offsets only make its first group late.
    'offsets.topic.num.partitions': '8',
    'transaction.state.log.num.partitions': '4',
    // A group's first member does not wait for company.
    'group.initial.rebalance.delay.ms': '0',
    // A broker that was killed comes back as soon as its former life counts as over; nine seconds by default.
    'broker.session.timeout.ms': '2000',
    'broker.heartbeat.interval.ms': '500',
    'num.network.threads': '2',
    'num.io.threads': '4',
    // Kafka's default would take half of a small heap.
    'log.cleaner.dedupe.buffer.size': String(16 * 2 ** 20),
    ...own,
  };
  return `${Object.entries(settings)
    .map(([name, value]) => `${name}=${escapeValue(value)}`)
    .join('\n')}\n`;
}

/** A value as Java's Properties read it back; several lines stay several. */
function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replace(/^ /, '\\ ');
}
