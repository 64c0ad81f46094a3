/**
 * What to answer to a PDU that cannot be read, or that is not served here (SMPP v3.4 §4.3, §5.1.3).
 */
import { type CommandName, commandIds, otherCommands, responseBit } from "./command.ts";
import type { DecodeFailure, Pdu } from "./pdu.ts";
import { status } from "./status.ts";

const responseNames: ReadonlyMap<number, CommandName> = new Map(
	Object.entries(commandIds).map(([name, id]) => [id, name as CommandName]),
);

/** The command's own response where the command was understood, generic_nack where not (§4.3). */
export function refusal({ commandId, sequence, commandStatus }: DecodeFailure): Pdu {
	const name = responseNames.get((commandId | responseBit) >>> 0);
	const understood =
		commandStatus !== status.invalidCommandLength && commandStatus !== status.invalidCommandId;
	if (understood && (name === "submit_sm_resp" || name === "deliver_sm_resp"))
		return { command: name, sequence, status: commandStatus, messageId: "", tlvs: [] };
	if (
		understood &&
		(name === "bind_receiver_resp" ||
			name === "bind_transmitter_resp" ||
			name === "bind_transceiver_resp")
	)
		return { command: name, sequence, status: commandStatus, systemId: "", tlvs: [] };
	return nack(sequence, commandStatus);
}

export function nack(sequence: number, commandStatus: number): Pdu {
	return { command: "generic_nack", sequence, status: commandStatus };
}

/**
 * The answer to a request that the caller does not serve; undefined for one that has no response
 * (alert_notification, outbind).
 */
export function notServed(
	pdu: Pdu,
	commandStatus: number = status.invalidCommandId,
): Pdu | undefined {
	const id = pdu.command === "other" ? pdu.commandId : commandIds[pdu.command];
	if (pdu.command === "other" && !otherCommands.has((id | responseBit) >>> 0)) return undefined;
	return refusal({ ok: false, commandId: id, sequence: pdu.sequence, commandStatus, reason: "" });
}
