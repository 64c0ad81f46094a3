/** For tests only: a pool bound to a peer of test-peer.ts. */
import { systemClock } from "#platform/clock.ts";
import { seededRandom } from "#platform/ids.ts";
import type { SubmitOutcome } from "./job.ts";
import { type DeliverSm, deliverSm } from "./pdu.ts";
import {
	type BindEvent,
	createSmppPool,
	type PoolParts,
	type SmppPool,
	type SmppRoute,
} from "./pool.ts";
import { type Peer, routeTo, startPeer, until } from "./test-peer.ts";

const pools: SmppPool[] = [];
const peers: Peer[] = [];
export type Act = Parameters<typeof startPeer>[0];

export interface Setting {
	readonly peer: Peer;
	readonly pool: SmppPool;
	readonly binds: BindEvent[];
}

export async function start(
	act: Act,
	route: Partial<SmppRoute> = {},
	parts: Partial<PoolParts> = {},
): Promise<Setting> {
	const peer = await startPeer(act);
	peers.push(peer);
	const binds: BindEvent[] = [];
	const pool = createSmppPool({
		routeId: "r1",
		route: routeTo(peer.port, route),
		clock: systemClock,
		random: seededRandom(9),
		onDeliver: async () => {},
		onBind: (event) => void binds.push(event),
		...parts,
	});
	pools.push(pool);
	return { peer, pool, binds };
}

export async function bound(
	act: Act,
	route: Partial<SmppRoute> = {},
	parts: Partial<PoolParts> = {},
): Promise<Setting> {
	const setting = await start(act, route, parts);
	await until(() => setting.pool.state().binds.every((bind) => bind.state === "bound"), "the bind");
	return setting;
}

export const swallowSubmits: Act = (pdu) => pdu.command === "submit_sm";
export const kinds = (outcomes: readonly SubmitOutcome[]): string[] =>
	outcomes.map((outcome) => outcome.kind);

const someone = { ton: 1, npi: 1, address: "919812345678" };
export function deliver(sequence: number, text = "hello"): DeliverSm {
	return deliverSm({
		sequence,
		source: someone,
		destination: someone,
		shortMessage: Buffer.from(text),
	});
}

/** For a test file's \`after\`. */
export async function closeAll(): Promise<void> {
	await Promise.all(pools.map((pool) => pool.stop(0)));
	await Promise.all(peers.map((peer) => peer.close()));
}
