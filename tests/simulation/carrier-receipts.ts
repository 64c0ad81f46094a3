/** What a simulated carrier does with a part that it has taken: its id, and the receipts that follow. Another part of carrier.ts. */
import type { DeliverSm } from "../../server/channels/sms/smpp/pdu.ts";
import { tags } from "../../server/channels/sms/smpp/tlv.ts";
import type { CarrierMemory } from "./carrier-state.ts";

const receiptTriesMax = 60;

/** The carrier has a part: its id, and the receipts that will come. */
export function take(inner: CarrierMemory, routeId: string, answerMs: number): string {
	const { random } = inner.parts;
	const { weather } = inner;
	const carrierId = String((inner.lastId += 1 + Math.floor(random.fraction() * 3)));
	const chance = (share: number): boolean => random.fraction() < share;
	const afterMs = chance(weather.receiptEarly)
		? answerMs * random.fraction()
		: answerMs + random.fraction() ** 3 * 8_000;
	if (chance(weather.receiptStray)) receipt(inner, routeId, `9${carrierId}`, 2, afterMs);
	if (chance(0.1)) receipt(inner, routeId, carrierId, 1, afterMs * random.fraction());
	if (chance(weather.receiptLost)) return carrierId;
	const bad = [5, 3, 8, 7, 4][Math.floor(random.fraction() * 5)] as number;
	const state = chance(weather.receiptBad) ? bad : 2;
	receipt(inner, routeId, carrierId, state, afterMs);
	if (chance(weather.receiptDoubled))
		receipt(inner, routeId, carrierId, state, random.fraction() * 9_000);
	if (chance(weather.receiptLies))
		receipt(inner, routeId, carrierId, state === 2 ? 5 : 2, random.fraction() * 9_000);
	return carrierId;
}

/** Gives a receipt to a bind of the route; again, until a process says that it has it. */
function receipt(
	inner: CarrierMemory,
	routeId: string,
	carrierId: string,
	state: number,
	afterMs: number,
	tries = 0,
): void {
	const { time, random, watcher } = inner.parts;
	time.schedule(afterMs, undefined, () => {
		const lines = inner.lines.filter(
			(line) => line.routeId === routeId && line.isBound && line.owner.isAlive,
		);
		const line = lines[Math.floor(random.fraction() * lines.length)];
		const again = (ms: number): void => {
			if (tries < receiptTriesMax) receipt(inner, routeId, carrierId, state, ms, tries + 1);
		};
		if (line === undefined) return again(1_000);
		let isOver = false;
		const close = (next: () => void) => (): void => {
			if (!isOver) next();
			isOver = true;
		};
		time.schedule(0, line.owner, () => {
			const pdu = receiptPdu(carrierId, state);
			void line.handlers.onDeliver({ routeId, pdu }).then(
				close(() => watcher.receiptTaken(routeId, carrierId, state)),
				close(() => again(500 + random.fraction() * 2_000)),
			);
		});
		time.schedule(
			6_000,
			undefined,
			close(() => again(0)),
		);
	});
}

function receiptPdu(carrierId: string, state: number): DeliverSm {
	const nobody = { ton: 1, npi: 1, address: "1" };
	return {
		command: "deliver_sm",
		sequence: 1,
		serviceType: "",
		source: nobody,
		destination: nobody,
		esmClass: 0x04,
		protocolId: 0,
		priority: 0,
		scheduleDeliveryTime: "",
		validityPeriod: "",
		registeredDelivery: 0,
		replaceIfPresent: 0,
		dataCoding: 0,
		defaultMessageId: 0,
		shortMessage: Buffer.alloc(0),
		tlvs: [
			{ tag: tags.receipted_message_id, value: Buffer.from(carrierId) },
			{ tag: tags.message_state, value: Buffer.from([state]) },
		],
	};
}
