/**
 * One simulation from its seed: what kind of day it is, the storm, the calm after it, and the judgement. The same
 * seed gives the same trace, on every machine. `describe` says how to repeat what went wrong.
 */
import { type Day, dayOf } from "./day.ts";
import type { Meanings } from "./memory-database.ts";
import { complain, type Violation } from "./oracle-state.ts";
import { judgeInnocents } from "./oracle-apart.ts";
import { judgeEnd } from "./oracle-end.ts";
import { calmCarrier, calmDatabase } from "./weather.ts";
import {
	ask,
	between,
	burst,
	changeWishes,
	grantConsent,
	newRequest,
	pick,
	type Workload,
} from "./workload.ts";
import {
	createWorld,
	kill,
	poisonAddress,
	type Process,
	startProcess,
	type World,
} from "./world.ts";

export interface RunOptions {
	readonly seed: number;
	/** Lines of the trace that the result holds at most; 40 unless told. */
	readonly traceLines?: number;
	/** Plants a bug in what statements mean. */
	readonly mutate?: (meanings: Meanings) => Meanings;
}

export interface RunResult {
	readonly seed: number;
	readonly steps: number;
	readonly messages: number;
	/** Of messages, as often as they left. */
	readonly submits: number;
	readonly kills: number;
	readonly digest: string;
	readonly violation: (Violation & { readonly step: number }) | undefined;
	/** The last lines before the end or the violation. */
	readonly trace: readonly string[];
}

interface Stage {
	readonly world: World;
	readonly day: Day;
	readonly work: Workload;
	readonly processes: (Process | undefined)[];
	generation: number;
	steps: number;
	killed: number;
	isCalm: boolean;
	violation: RunResult["violation"];
}

export async function runSeed({ seed, mutate, traceLines }: RunOptions): Promise<RunResult> {
	const day = dayOf(seed);
	const { window, answerMs, liveRoutes, testRoutes, startMs } = day;
	const alone = day.processes === 1;
	const world = await createWorld({
		seed,
		startMs,
		window,
		answerMs,
		liveRoutes,
		testRoutes,
		alone,
		mutate,
		traceLines,
	});
	const uninstall = world.time.install();
	const unwatch = watchEscapes(world);
	try {
		const stage = createStage(world, day);
		await play(stage);
		return resultOf(stage);
	} finally {
		unwatch();
		uninstall();
	}
}

/** A rejection that nobody handles ends the product's process; here it is a violation, and nobody else's. */
function watchEscapes({ oracle }: World): () => void {
	const others = process.listeners("unhandledRejection");
	const escaped = (reason: unknown): void =>
		complain(
			oracle,
			"no failure escapes",
			reason instanceof Error ? reason.message : "a rejection",
		);
	process.removeAllListeners("unhandledRejection");
	process.on("unhandledRejection", escaped);
	return () => {
		process.off("unhandledRejection", escaped);
		for (const other of others) process.on("unhandledRejection", other);
	};
}

function createStage(world: World, day: Day): Stage {
	const processes: Stage["processes"] = [];
	const serving = (): Process[] =>
		processes.filter(
			(one) => one !== undefined && one.owner.isAlive && one.path !== undefined,
		) as Process[];
	return {
		world,
		day,
		work: { world, processes: serving, asked: [], messages: 0, poison: day.poison, pending: 0 },
		processes,
		generation: 0,
		steps: 0,
		killed: 0,
		isCalm: false,
		violation: undefined,
	};
}

async function play(stage: Stage): Promise<void> {
	const { world, day } = stage;
	grantConsent(world);
	for (let i = 0; i < day.processes; i++) start(stage, i);
	world.database.weather = day.database;
	world.carrier.weather = day.carrier;
	plan(stage);
	if (!(await runFor(stage, day.activeMs))) return;
	becomeCalm(stage);
	if (!(await runFor(stage, 4_000)) || !(await runFor(stage, 41_000, isQuiet))) return;
	if (!(await waitForDue(stage))) return;
	// What is tried apart goes slowly, and nothing may leave after the skip: its receipt could be one that never comes.
	if (!(await runFor(stage, 2_500)) || !(await runFor(stage, 120_000, isQuiet))) return;
	// What had no news for 72 hours is presumed to have failed, by a chore of every five minutes that must not be under way in the skip.
	for (const ms of [300_000, 73 * 3_600_000]) {
		world.time.skip(ms);
		if (!(await runFor(stage, 4_000))) return;
	}
	const { database } = day;
	judgeEnd(world.oracle, database.statementFails === 0);
	note(stage);
}

/** Skips to what is due later (schedules, windows, retries) until nothing waits. */
async function waitForDue(stage: Stage): Promise<boolean> {
	const { world } = stage;
	for (let rounds = 0; rounds < 12; rounds++) {
		const due = [...world.tables.laneEntries.committed.values()].map((entry) => entry.dueAtMs);
		if (due.length === 0 && world.tables.batches.committed.size === 0) break;
		const waitMs = Math.min(...due) - world.wallMs();
		if (waitMs > 1_000 && waitMs < Number.POSITIVE_INFINITY) world.time.skip(waitMs);
		if (!(await runFor(stage, 15_000, isQuiet))) return false;
	}
	return true;
}

/** Nothing is on its way, and nothing is due. */
function isQuiet({ world, work, processes }: Stage): boolean {
	if (work.pending > 0 || work.processes().length < processes.length) return false;
	if (processes.some((one) => (one?.owner.frozenUntilMs ?? 0) > world.time.now())) return false;
	const { laneEntries, batches, parked } = world.tables;
	const nowMs = world.wallMs();
	// What is skipped later must not fall between a receipt, which is kept for 72 hours, and the answer it waits for.
	if (world.carrier.isAnswering()) return false;
	if (batches.committed.size > 0) return false;
	for (const { batchId, dueAtMs } of laneEntries.committed.values())
		if (batchId !== null || dueAtMs < nowMs + 1_000) return false;
	// Parked receipts whose submission is known by now are taken back by the next chore.
	for (const { routeId, carrierId } of parked.committed.values())
		if (world.oracle.submissions.has(`${routeId}/${carrierId}`)) return false;
	return true;
}

function start(stage: Stage, index: number): void {
	const { world, day } = stage;
	const skewMs =
		stage.isCalm || day.jumps === 0 || day.processes === 1 ? 0 : between(world, -2_000, 2_000);
	stage.processes[index] = startProcess(world, `p${index + 1}.${++stage.generation}`, skewMs);
}

/** Once it is `atMs`, not counting what was slept through: a sleep does not make everything happen at its end. */
function once(stage: Stage, atMs: number, work: () => void): void {
	const { time } = stage.world;
	const waitMs = atMs + time.skippedMs() - time.now();
	time.schedule(waitMs, undefined, () => {
		if (time.now() < atMs + time.skippedMs()) once(stage, atMs, work);
		else if (!stage.isCalm) work();
	});
}

/** Everything that will happen in the storm, at its moment. */
function plan(stage: Stage): void {
	const { world, day, work } = stage;
	const { time } = world;
	const at = (count: number, work: () => void): void => {
		for (let i = 0; i < count; i++) once(stage, between(world, 100, day.activeMs), work);
	};
	if (day.isCrowd) planCrowd(stage);
	if (day.isPoisonous) planPoison(stage);
	at(day.requests, () => ask(work, newRequest(work)));
	at(Math.floor(day.requests / 4), () => {
		const repeatable = work.asked.filter(({ request }) => request.idempotency !== undefined);
		if (repeatable.length > 0) ask(work, pick(world, repeatable));
	});
	at(day.wishes, () => changeWishes(work));
	at(day.kills, () => killOne(stage));
	at(day.freezes, () => freezeOne(stage));
	at(day.jumps, () => jumpOne(stage));
	at(day.outages, () => {
		world.trace.note("the database goes away");
		world.database.goAway(
			world.random.fraction() < 0.5 ? between(world, 18_000, 26_000) : between(world, 100, 4_000),
		);
	});
	at(day.drops, () =>
		world.carrier.dropBinds(world.random.fraction(), between(world, 100, day.backMs)),
	);
	at(day.bursts, () => burst(work));
	at(day.sleeps, () => {
		world.trace.note("the machine sleeps");
		if (world.random.fraction() < 0.6) world.carrier.dropBinds(1, between(world, 5, 300));
		time.skip(between(world, 60_000, 2_400_000));
	});
}

/** One tenant's hundreds, then another one's few of the same class, and a few of the first class. */
function planCrowd({ world, work }: Stage): void {
	const [many, few] = world.tenants;
	if (many === undefined || few === undefined) return;
	world.oracle.isCrowd = true;
	const send = (
		atMs: number,
		tenant: typeof many,
		category: "authentication" | "service",
		count: number,
	) =>
		void world.time.schedule(atMs, undefined, () =>
			ask(work, newRequest(work, { tenant, category, count, plain: true })),
		);
	for (let i = 0; i < 5; i++) send(500 + i, many, "service", 100);
	send(between(world, 700, 1_200), few, "service", 3);
	send(between(world, 700, 1_200), few, "authentication", 3);
}

/** Most of a batch is innocent; codes come all the while. When all had time enough, the innocent are asked about. */
function planPoison({ world, work }: Stage): void {
	const { time, oracle, vault } = world;
	const [tenant, other] = world.tenants;
	if (tenant === undefined || other === undefined) return;
	oracle.poisonous = new Set(
		world.tenants.map(({ id }) =>
			vault.index(id, "live", "sms.address", poisonAddress).toString("hex"),
		),
	);
	const count = 80 + Math.floor(world.random.fraction() * 80);
	const poisonous = [20, 20, 60].map((from) => from + Math.floor(world.random.fraction() * 20));
	const batch = { tenant, category: "transactional", count, plain: true, poisonous } as const;
	const code = { tenant: other, category: "authentication", count: 1, plain: true } as const;
	time.schedule(500, undefined, () => ask(work, newRequest(work, batch)));
	for (let atMs = 600; atMs < 22_000; atMs += between(world, 50, 400))
		time.schedule(atMs, undefined, () => ask(work, newRequest(work, code)));
	time.schedule(44_900, undefined, () => judgeInnocents(oracle));
}

function killOne(stage: Stage): void {
	const { world, processes } = stage;
	const index = Math.floor(world.random.fraction() * processes.length);
	const process = processes[index];
	if (process === undefined || !process.owner.isAlive) return;
	stage.killed++;
	if (process.path !== undefined && world.random.fraction() < 0.3)
		return stopOne(stage, index, process);
	kill(world, process);
	world.time.schedule(between(world, 50, 4_000), undefined, () => revive(stage, index));
}

/** An orderly stop, and kill -9 when it takes too long. */
function stopOne(stage: Stage, index: number, process: Process): void {
	const { world } = stage;
	world.trace.note(`${process.owner.name} is told to stop`);
	const { path } = process;
	process.path = undefined;
	const gone = (): void => {
		if (!process.owner.isAlive) return;
		kill(world, process);
		world.time.schedule(between(world, 50, 1_000), undefined, () => revive(stage, index));
	};
	world.time.as(process.owner, () => void path?.stop(2_000).then(gone, gone));
	world.time.schedule(8_000, undefined, gone);
}

function revive(stage: Stage, index: number): void {
	if (stage.processes[index]?.owner.isAlive !== true) start(stage, index);
}

function freezeOne(stage: Stage): void {
	const { world } = stage;
	const process = pick(world, stage.processes);
	if (process === undefined) return;
	const ms =
		world.random.fraction() < 0.5 ? between(world, 21_000, 28_000) : between(world, 200, 6_000);
	world.trace.note(`${process.owner.name} is frozen for ${Math.round(ms)} ms`);
	// What waits for the end of one pause does not notice that another one is shorter.
	process.owner.frozenUntilMs = Math.max(process.owner.frozenUntilMs, world.time.now() + ms);
}

function jumpOne(stage: Stage): void {
	const { world } = stage;
	const process = pick(world, stage.processes);
	if (process === undefined) return;
	const ms = between(world, -20_000, 20_000);
	world.trace.note(`${process.owner.name} has its clock set by ${Math.round(ms)} ms`);
	process.owner.skewMs += ms;
}

function becomeCalm(stage: Stage): void {
	const { world, processes } = stage;
	world.trace.note("calm");
	stage.isCalm = true;
	world.database.weather = calmDatabase;
	world.carrier.weather = calmCarrier;
	for (const process of processes) if (process !== undefined) process.owner.skewMs = 0;
}

/** Until the time is over, or `until` says so; false when something is violated. */
async function runFor(
	stage: Stage,
	ms: number,
	until: (stage: Stage) => boolean = () => false,
): Promise<boolean> {
	const { time, oracle } = stage.world;
	const untilMs = time.now() + ms - time.skippedMs();
	while ((time.nextMs() ?? Number.POSITIVE_INFINITY) <= untilMs + time.skippedMs()) {
		await time.step();
		stage.steps++;
		if ((stage.steps & 63) === 0) {
			watchBounds(stage);
			if (until(stage)) return true;
		}
		if (oracle.violation !== undefined) {
			note(stage);
			return false;
		}
	}
	return true;
}

/** Nothing grows without end: by the product's own gauges. */
const bounds: Readonly<Record<string, number>> = {
	wx_messages_unaccepted: 20_000,
	wx_messages_waiting_in_memory: 3 * 4 * 4_096,
	wx_messages_in_flight: 3 * 1_024,
	wx_results_unwritten: 22_000,
};

function watchBounds({ world, work }: Stage): void {
	for (const { gauges, owner } of work.processes())
		for (const [name, most] of Object.entries(bounds)) {
			const value = gauges.get(name)?.() ?? 0;
			if (!(value >= 0 && value <= most))
				complain(world.oracle, "bounded", `${owner.name}: ${name} is ${value}`);
		}
}

function note(stage: Stage): void {
	const { violation } = stage.world.oracle;
	if (violation !== undefined) stage.violation = { ...violation, step: stage.steps };
}

function resultOf({ world, work, steps, killed, violation }: Stage): RunResult {
	const { oracle, trace, options } = world;
	return {
		seed: options.seed,
		steps,
		messages: work.messages,
		submits: [...oracle.attempts.values()].reduce((sum, attempts) => sum + attempts.length, 0),
		kills: killed,
		digest: trace.digest.copy().digest("hex"),
		violation,
		trace: [...trace.last],
	};
}

/** For whoever has to find out what happened. */
export function describe({ seed, violation, trace }: RunResult): string {
	if (violation === undefined) return `seed ${seed}: sound`;
	return [
		`seed ${seed}, step ${violation.step}: "${violation.invariant}" is violated: ${violation.detail}`,
		...trace.map((line) => `    ${line}`),
		`repeat it: npm run faults -- simulation=1 seed=${seed}`,
	].join("\n");
}
