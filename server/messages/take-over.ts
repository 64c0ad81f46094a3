/**
 * Takes over what the half that accepts hands to the half that sends: batches under a lease of ours go into the lanes
 * or, if they are started and the carrier has room, on their way.
 */
import type { Clock } from "#platform/clock.ts";
import { briefMs, type Vault, VaultError } from "#vault/index.ts";
import { nextTurn } from "#platform/turns.ts";
import { type HandedBatch, readHanded, type ToSending } from "./channel.ts";
import { type Dispatcher, type StartedBatch, turnMax } from "./dispatch.ts";
import type { Lanes } from "./lanes.ts";
import type { Restraint } from "./restraint.ts";
import type { Room } from "./room.ts";

export interface TakeOverParts {
	readonly vault: Vault;
	readonly clock: Clock;
	readonly lanes: Lanes;
	readonly room: Pick<Room, "fits">;
	readonly restraint: Pick<Restraint, "codeLeft">;
	/** This batch has left without having been in a lane. */
	readonly onLeft: (batch: StartedBatch) => void;
}

/** How old what a message was judged by may be when it leaves without another look, milliseconds. */
const freshMs = 1_000;
const retryMs = 250;
/** Throws in the end, an AggregateError, when some could not be taken over; the others were. */
export async function takeOver(
	parts: TakeOverParts,
	dispatcher: Pick<Dispatcher, "sendStarted" | "wake">,
	{ batches, untilMs }: Extract<ToSending, { kind: "handed" }>,
): Promise<void> {
	const routeIds = new Set<string>();
	const troubles: unknown[] = [];
	const late: Promise<void>[] = [];
	let read = 0;
	for (const text of batches) {
		// A large batch has a turn of its own: reading its seals takes milliseconds, and a one-time code may be handed over
		// meanwhile. Small ones share one, and so a write to the carrier.
		if (read >= turnMax) {
			await nextTurn();
			read = 0;
		}
		const handed = JSON.parse(text) as HandedBatch;
		const { tenantId, routeId } = handed;
		read += handed.messages.length;
		const take = (): void => takeOne(parts, dispatcher, readHanded(handed, parts.vault), untilMs);
		// Keys that do not come at once are waited for, and nobody waits for those of another tenant.
		const takeLater = (): void => {
			const taken = warm(parts, tenantId, untilMs).then(take);
			late.push(taken.catch((error: unknown) => void troubles.push(error)));
		};
		try {
			if (await haveCome(parts, tenantId)) take();
			else takeLater();
		} catch (error) {
			if (error instanceof VaultError) takeLater();
			else troubles.push(error);
		}
		routeIds.add(routeId);
	}
	for (const routeId of routeIds) dispatcher.wake(routeId);
	await Promise.all(late);
	if (late.length > 0) for (const routeId of routeIds) dispatcher.wake(routeId);
	if (troubles.length > 0) throw new AggregateError(troubles, "some batches were not taken over");
}

/** Within a moment; if not, whoever uses them gets a VaultError. */
function haveCome({ vault }: Pick<TakeOverParts, "vault">, tenantId: string): Promise<boolean> {
	return vault.warm([tenantId], briefMs).then(
		() => true,
		() => false,
	);
}

function takeOne(
	{ clock, room, lanes, restraint, onLeft }: TakeOverParts,
	dispatcher: Pick<Dispatcher, "sendStarted">,
	batch: StartedBatch,
	untilMs: number,
): void {
	const nowMs = clock.now();
	const lagMs = nowMs - (batch.known[0]?.facts.now ?? 0);
	if (!batch.started || nowMs >= untilMs || lagMs >= freshMs || !room.fits(batch))
		return lanes.push(batch);
	onLeft(batch);
	if (batch.class === 0) restraint.codeLeft(lagMs);
	dispatcher.sendStarted(batch);
}

/** While the database is away a tenant's keys may not come; the leases end meanwhile. */
async function warm(
	{ vault, clock }: Pick<TakeOverParts, "vault" | "clock">,
	tenantId: string,
	untilMs: number,
): Promise<void> {
	for (;;) {
		try {
			return await vault.warm([tenantId]);
		} catch (error) {
			if (clock.now() > untilMs) throw error;
			await new Promise((resolve) => void setTimeout(resolve, retryMs));
		}
	}
}
