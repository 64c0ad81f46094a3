/**
 * SMPP v3.4 command ids (§5.1.2.1). The response to a request has the request's id with the top bit
 * set. Commands we carry but do not read (`otherCommands`) keep their body as octets.
 */
export const responseBit = 0x80000000;

export const commandIds = {
	generic_nack: 0x80000000,
	bind_receiver: 0x00000001,
	bind_receiver_resp: 0x80000001,
	bind_transmitter: 0x00000002,
	bind_transmitter_resp: 0x80000002,
	submit_sm: 0x00000004,
	submit_sm_resp: 0x80000004,
	deliver_sm: 0x00000005,
	deliver_sm_resp: 0x80000005,
	unbind: 0x00000006,
	unbind_resp: 0x80000006,
	bind_transceiver: 0x00000009,
	bind_transceiver_resp: 0x80000009,
	enquire_link: 0x00000015,
	enquire_link_resp: 0x80000015,
} as const;

export type CommandName = keyof typeof commandIds;

/** Known to the protocol, not to us: their bodies are kept as they are. */
export const otherCommands: ReadonlyMap<number, string> = new Map([
	[0x00000003, "query_sm"],
	[0x80000003, "query_sm_resp"],
	[0x00000007, "replace_sm"],
	[0x80000007, "replace_sm_resp"],
	[0x00000008, "cancel_sm"],
	[0x80000008, "cancel_sm_resp"],
	[0x0000000b, "outbind"],
	[0x00000021, "submit_multi"],
	[0x80000021, "submit_multi_resp"],
	[0x00000102, "alert_notification"],
	[0x00000103, "data_sm"],
	[0x80000103, "data_sm_resp"],
]);
