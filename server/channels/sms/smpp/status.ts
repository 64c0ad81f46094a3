/**
 * command_status (SMPP v3.4 §5.1.3): what a refusal means for the message. Data, not code. A code
 * that is not listed is never guessed at: it is `permanent` and named by its number; a carrier's own
 * codes (0x400–0x4FF) are listed in its dialect.
 */
export type Disposition =
	/** The message as it stands will never pass here: do not retry. */
	| "permanent"
	/** Something temporary: the same message may be tried again, at most `retriesMax` times. */
	| "retry"
	/** Too fast or the queue is full: slow down and try again. */
	| "throttled"
	/** This route cannot carry the message; another may. */
	| "route"
	/** The session's own affair: credentials or the bind's state. */
	| "bind";

export interface StatusEntry {
	readonly code: number;
	readonly name: string;
	readonly disposition: Disposition;
	/** How often the same message may be tried again after this code. */
	readonly retriesMax: number;
	readonly says: string;
}

function rows(
	disposition: Disposition,
	retriesMax: number,
	list: readonly (readonly [number, string, string])[],
): StatusEntry[] {
	return list.map(([code, name, says]) => ({ code, name, disposition, retriesMax, says }));
}

export const statusTable: readonly StatusEntry[] = [
	...rows("permanent", 0, [
		[0x01, "ESME_RINVMSGLEN", "message length is invalid"],
		[0x02, "ESME_RINVCMDLEN", "command length is invalid"],
		[0x03, "ESME_RINVCMDID", "invalid command id"],
		[0x06, "ESME_RINVPRTFLG", "invalid priority flag"],
		[0x07, "ESME_RINVREGDLVFLG", "invalid registered delivery flag"],
		[0x0a, "ESME_RINVSRCADR", "invalid source address"],
		[0x0b, "ESME_RINVDSTADR", "invalid destination address"],
		[0x0c, "ESME_RINVMSGID", "message id is invalid"],
		[0x11, "ESME_RCANCELFAIL", "cancel failed"],
		[0x13, "ESME_RREPLACEFAIL", "replace failed"],
		[0x15, "ESME_RINVSERTYP", "invalid service type"],
		[0x33, "ESME_RINVNUMDESTS", "invalid number of destinations"],
		[0x34, "ESME_RINVDLNAME", "invalid distribution list name"],
		[0x40, "ESME_RINVDESTFLAG", "destination flag is invalid"],
		[0x42, "ESME_RINVSUBREP", "submit with replace is not possible"],
		[0x43, "ESME_RINVESMCLASS", "invalid esm_class"],
		[0x44, "ESME_RCNTSUBDL", "cannot submit to the distribution list"],
		[0x48, "ESME_RINVSRCTON", "invalid source TON"],
		[0x49, "ESME_RINVSRCNPI", "invalid source NPI"],
		[0x50, "ESME_RINVDSTTON", "invalid destination TON"],
		[0x51, "ESME_RINVDSTNPI", "invalid destination NPI"],
		[0x54, "ESME_RINVREPFLAG", "invalid replace flag"],
		[0x55, "ESME_RINVNUMMSGS", "invalid number of messages"],
		[0x61, "ESME_RINVSCHED", "invalid scheduled delivery time"],
		[0x62, "ESME_RINVEXPIRY", "invalid validity period"],
		[0x63, "ESME_RINVDFTMSGID", "predefined message is invalid or not found"],
		[0x65, "ESME_RX_P_APPN", "permanent application error"],
		[0x66, "ESME_RX_R_APPN", "rejected by the application"],
		[0x67, "ESME_RQUERYFAIL", "query failed"],
		[0xc0, "ESME_RINVOPTPARSTREAM", "error in the optional part of the PDU"],
		[0xc1, "ESME_ROPTPARNOTALLWD", "optional parameter not allowed"],
		[0xc2, "ESME_RINVPARLEN", "invalid parameter length"],
		[0xc3, "ESME_RMISSINGOPTPARAM", "expected optional parameter missing"],
		[0xc4, "ESME_RINVOPTPARAMVAL", "invalid optional parameter value"],
		[0xfe, "ESME_RDELIVERYFAILURE", "delivery failure"],
	]),
	...rows("retry", 3, [
		[0x08, "ESME_RSYSERR", "system error"],
		[0x64, "ESME_RX_T_APPN", "temporary application error"],
	]),
	...rows("retry", 1, [
		[0x45, "ESME_RSUBMITFAIL", "submit failed"],
		[0xff, "ESME_RUNKNOWNERR", "unknown error"],
	]),
	...rows("throttled", 10, [
		[0x14, "ESME_RMSGQFUL", "message queue is full"],
		[0x58, "ESME_RTHROTTLED", "allowed rate exceeded"],
	]),
	...rows("bind", 0, [
		[0x04, "ESME_RINVBNDSTS", "wrong bind state for this command"],
		[0x05, "ESME_RALYBND", "already bound"],
		[0x0d, "ESME_RBINDFAIL", "bind failed"],
		[0x0e, "ESME_RINVPASWD", "invalid password"],
		[0x0f, "ESME_RINVSYSID", "invalid system id"],
		[0x53, "ESME_RINVSYSTYP", "invalid system type"],
	]),
];

const byCode: ReadonlyMap<number, StatusEntry> = new Map(statusTable.map((row) => [row.code, row]));

/** The codes we answer with ourselves, by name. */
export const status = {
	ok: 0x00,
	invalidMessageLength: 0x01,
	invalidCommandLength: 0x02,
	invalidCommandId: 0x03,
	invalidBindStatus: 0x04,
	alreadyBound: 0x05,
	systemError: 0x08,
	invalidSource: 0x0a,
	invalidDestination: 0x0b,
	invalidMessageId: 0x0c,
	bindFailed: 0x0d,
	invalidPassword: 0x0e,
	invalidSystemId: 0x0f,
	queueFull: 0x14,
	invalidServiceType: 0x15,
	invalidEsmClass: 0x43,
	invalidSystemType: 0x53,
	throttled: 0x58,
	invalidSchedule: 0x61,
	invalidExpiry: 0x62,
	temporaryError: 0x64,
	permanentError: 0x65,
	invalidOptionalPart: 0xc0,
	optionalNotAllowed: 0xc1,
	invalidParameterLength: 0xc2,
	missingOptional: 0xc3,
	invalidOptionalValue: 0xc4,
} as const;

/** The code as the tables name it; `0x0000040a` for one they do not know. */
export function statusName(code: number): string {
	if (code === 0) return "ESME_ROK";
	return byCode.get(code)?.name ?? `0x${(code >>> 0).toString(16).padStart(8, "0")}`;
}

/**
 * What a refusal means. `overrides` are a carrier's own readings (its dialect), which win. Unknown
 * means no: a code in neither table is `permanent` under its number, with `known` false.
 */
export function readStatus(
	code: number,
	overrides?: ReadonlyMap<number, StatusEntry>,
): StatusEntry & { readonly known: boolean } {
	const found = overrides?.get(code) ?? byCode.get(code);
	if (found !== undefined) return { ...found, known: true };
	const says = "not in the protocol's table nor in the carrier's";
	return {
		code,
		name: statusName(code),
		disposition: "permanent",
		retriesMax: 0,
		says,
		known: false,
	};
}
