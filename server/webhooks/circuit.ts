/**
 * How much each endpoint may take of the sender, so that a dead or slow receiver starves nobody: concurrency
 * grows with success from little and falls to one with the first failure; after three in a row the endpoint
 * is left alone for a while, then tried with a single delivery. Pure bookkeeping in memory, bounded.
 */

export interface CircuitLimits {
	/** Requests in flight, all endpoints together. */
	readonly global: number;
	/** … and of one healthy endpoint. */
	readonly perEndpoint: number;
}

export interface Circuits {
	/** How many deliveries each known endpoint may be leased now; all others `usualQuota`. */
	quotas(nowMs: number): { listed: string[]; quotas: number[] };
	readonly usualQuota: number;
	/** Told once per leased endpoint, so that one known to be failing starts carefully. */
	meet(endpointId: string, tenantId: string, degraded: boolean): void;
	/** Counts deliveries waiting in memory. */
	queued(endpointId: string, change: number): void;
	mayStart(endpointId: string, nowMs: number): boolean;
	started(endpointId: string): void;
	/** Ends an attempt. `waitMs`: how long the receiver asked to be left alone. */
	finished(endpointId: string, succeeded: boolean, nowMs: number, waitMs: number): void;
	/** Ends a request that proves nothing about the endpoint: it was broken off by us. */
	abandoned(endpointId: string): void;
}

interface Circuit {
	readonly tenantId: string;
	allowance: number;
	inFlight: number;
	waiting: number;
	/** Failures in a row. */
	failures: number;
	closedUntilMs: number;
}

const startAllowance = 2;
const quotaPerAllowance = 16;
const failuresToClose = 3;
const restMinMs = 5_000;
const restMaxMs = 60_000;
const restAskedMaxMs = 300_000;
const knownMax = 2_000;

export function createCircuits(limits: CircuitLimits): Circuits {
	const circuits = new Map<string, Circuit>();
	const flight = createFlight(limits);
	return {
		usualQuota: startAllowance * quotaPerAllowance,
		quotas(nowMs) {
			const known = [...circuits];
			const quotas = known.map(([, circuit]) => quotaOf(circuit, nowMs));
			return { listed: known.map(([id]) => id), quotas };
		},
		meet(endpointId, tenantId, degraded) {
			if (circuits.has(endpointId)) return;
			if (circuits.size >= knownMax) forget(circuits);
			circuits.set(endpointId, {
				tenantId,
				allowance: degraded ? 1 : Math.min(startAllowance, limits.perEndpoint),
				inFlight: 0,
				waiting: 0,
				failures: degraded ? 1 : 0,
				closedUntilMs: 0,
			});
		},
		queued(endpointId, change) {
			known(circuits, endpointId).waiting += change;
		},
		mayStart(endpointId, nowMs) {
			const circuit = known(circuits, endpointId);
			if (circuit.inFlight >= circuit.allowance || circuit.closedUntilMs > nowMs) return false;
			return flight.hasRoom(circuit);
		},
		started(endpointId) {
			flight.change(known(circuits, endpointId), 1);
		},
		finished(endpointId, succeeded, nowMs, waitMs) {
			const circuit = known(circuits, endpointId);
			flight.change(circuit, -1);
			flight.setFailures(circuit, succeeded ? 0 : circuit.failures + 1);
			circuit.allowance = succeeded ? Math.min(limits.perEndpoint, circuit.allowance + 1) : 1;
			const asked = Math.min(waitMs, restAskedMaxMs);
			circuit.closedUntilMs = succeeded ? 0 : nowMs + Math.max(asked, restMs(circuit.failures));
		},
		abandoned(endpointId) {
			flight.change(known(circuits, endpointId), -1);
		},
	};
}

function quotaOf(circuit: Circuit, nowMs: number): number {
	if (circuit.closedUntilMs > nowMs) return 0;
	const held = circuit.waiting + circuit.inFlight;
	if (circuit.failures > 0) return held > 0 ? 0 : 1;
	const share = circuit.allowance * quotaPerAllowance;
	return held > share / 2 ? 0 : share - held;
}

/** Counts requests in flight: all, of failing endpoints, of each tenant. */
function createFlight(limits: CircuitLimits) {
	const failingMax = Math.max(1, Math.floor(limits.global / 4));
	const tenantMax = Math.max(1, Math.floor(limits.global / 2));
	const tenants = new Map<string, number>();
	let all = 0;
	let failing = 0;
	return {
		hasRoom(circuit: Circuit): boolean {
			if (all >= limits.global) return false;
			if (circuit.failures > 0 && failing >= failingMax) return false;
			return (tenants.get(circuit.tenantId) ?? 0) < tenantMax;
		},
		change(circuit: Circuit, by: 1 | -1): void {
			all += by;
			circuit.inFlight += by;
			if (circuit.failures > 0) failing += by;
			const ofTenant = (tenants.get(circuit.tenantId) ?? 0) + by;
			if (ofTenant > 0) tenants.set(circuit.tenantId, ofTenant);
			else tenants.delete(circuit.tenantId);
		},
		/** What is in flight changes sides with its endpoint. */
		setFailures(circuit: Circuit, failures: number): void {
			if (circuit.failures === 0 && failures > 0) failing += circuit.inFlight;
			if (circuit.failures > 0 && failures === 0) failing -= circuit.inFlight;
			circuit.failures = failures;
		},
	};
}

function restMs(failures: number): number {
	if (failures < failuresToClose) return 0;
	return Math.min(restMaxMs, restMinMs * 2 ** Math.min(failures - failuresToClose, 10));
}

function known(circuits: Map<string, Circuit>, endpointId: string): Circuit {
	const circuit = circuits.get(endpointId);
	if (circuit === undefined) throw new Error("an endpoint is used before it was met");
	return circuit;
}

/** Forgets endpoints that hold nothing; they start afresh when met again. */
function forget(circuits: Map<string, Circuit>): void {
	for (const [id, circuit] of circuits)
		if (circuit.inFlight === 0 && circuit.waiting === 0) circuits.delete(id);
}
