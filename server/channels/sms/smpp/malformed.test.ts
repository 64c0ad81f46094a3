/** PDUs that break a rule of the format: each is refused under the status to answer with. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode } from "./pdu.ts";
import { status } from "./status.ts";

/** Octets with command_length put right. */
function sized(...pieces: readonly (string | Buffer)[]): Buffer {
	const octets = Buffer.concat([
		Buffer.alloc(4),
		...pieces.map((one) => (typeof one === "string" ? Buffer.from(one, "hex") : one)),
	]);
	octets.writeUInt32BE(octets.length, 0);
	return octets;
}

function hex32(value: number): string {
	return value.toString(16).padStart(8, "0");
}

const head = (id: number, sequence = 8): string => hex32(id) + hex32(0) + hex32(sequence);
const cloudhopperIssue64 = Buffer.from(
	"00000070000000040000000000000008" +
		"00" +
		"0501" +
		"41424344454600" +
		"0101" +
		"30313233343536373839313200" +
		"000000" +
		"00" +
		"00" +
		"00000000" +
		"3c" +
		"6b".repeat(60) +
		"00",
	"hex",
);

const refusals: readonly (readonly [string, Buffer, number, string])[] = [
	["nothing", Buffer.alloc(0), status.invalidCommandLength, "shorter than a header"],
	["15 octets", Buffer.alloc(15), status.invalidCommandLength, "shorter than a header"],
	[
		"HTTP",
		Buffer.from("GET / HTTP/1.1\r\n\r\n"),
		status.invalidCommandLength,
		"command_length is not the length",
	],
	[
		"TLS ClientHello",
		Buffer.from("16030100c8010000c40303aaaaaaaaaaaaaaaaaaaa", "hex"),
		status.invalidCommandLength,
		"command_length is not the length",
	],
	[
		"command_length 0",
		Buffer.from(`00000000${head(0x15)}`, "hex"),
		status.invalidCommandLength,
		"command_length is not the length",
	],
	[
		"command_length 0x7fffffff",
		Buffer.from(`7fffffff${head(0x15)}`, "hex"),
		status.invalidCommandLength,
		"command_length is not the length",
	],
	[
		"command_length 0xffffffff",
		Buffer.from(`ffffffff${head(0x15)}`, "hex"),
		status.invalidCommandLength,
		"command_length is not the length",
	],
	[
		"enquire_link of 17",
		sized(head(0x15), "00"),
		status.invalidCommandLength,
		"octets after a bare header",
	],
	[
		"generic_nack with a body",
		sized(head(0x80000000), "0000"),
		status.invalidCommandLength,
		"octets after a bare header",
	],
	["unknown command", sized(head(0x0000000a)), status.invalidCommandId, "unknown command_id"],
	[
		"unknown response",
		sized(head(0x800000ff), "00"),
		status.invalidCommandId,
		"unknown command_id",
	],
	[
		"submit_sm that is only a header",
		sized(head(4)),
		status.invalidCommandLength,
		"service_type has no end",
	],
	[
		"service_type without end",
		sized(head(4), "414243"),
		status.invalidCommandLength,
		"service_type has no end",
	],
	[
		"service_type too long",
		sized(head(4), "41424344454600", "00".repeat(20)),
		status.invalidServiceType,
		"service_type is too long",
	],
	[
		"source too long",
		sized(head(4), "000500", "41".repeat(21), "00".repeat(20)),
		status.invalidSource,
		"source_addr is too long",
	],
	[
		"destination too long",
		sized(head(4), "0005004100", "0101", "31".repeat(21), "00".repeat(20)),
		status.invalidDestination,
		"destination_addr is too long",
	],
	[
		"destination without end",
		sized(head(4), "0005004100", "0101", "31".repeat(20)),
		status.invalidCommandLength,
		"destination_addr has no end",
	],
	[
		"ends after destination",
		sized(head(4), "0005004100", "01013100"),
		status.invalidCommandLength,
		"the body ends too early",
	],
	["no sm_length", submitSized(), status.invalidCommandLength, "the body ends too early"],
	[
		"sm_length 200 with one octet",
		submitSized("c8", "41"),
		status.invalidMessageLength,
		"sm_length is more than there is",
	],
	[
		"sm_length one too small",
		submitSized("01", "4142"),
		status.invalidOptionalPart,
		"octets left that are no TLV",
	],
	[
		"sm_length one too small (an SMSC's real PDU)",
		cloudhopperIssue64,
		status.invalidOptionalPart,
		"octets left that are no TLV",
	],
	[
		"three octets left",
		submitSized("00", "042400"),
		status.invalidOptionalPart,
		"octets left that are no TLV",
	],
	[
		"TLV of 65535 octets with none",
		submitSized("00", "0424ffff"),
		status.invalidOptionalPart,
		"a TLV ends after the PDU",
	],
	[
		"TLV one octet beyond the end",
		submitSized("0141", "0204000301ff"),
		status.invalidOptionalPart,
		"a TLV ends after the PDU",
	],
	[
		"short_message and message_payload",
		submitSized("0141", "0424000141"),
		status.optionalNotAllowed,
		"a second text in message_payload",
	],
	[
		"message_payload twice",
		submitSized("00", "0424000141", "0424000142"),
		status.optionalNotAllowed,
		"a second text in message_payload",
	],
	[
		"malformed schedule",
		submitTimes("991332256199999R", ""),
		status.invalidSchedule,
		"schedule_delivery_time is malformed",
	],
	[
		"malformed validity",
		submitTimes("", "991332256199999R"),
		status.invalidExpiry,
		"validity_period is malformed",
	],
	[
		"validity too short",
		submitTimes("", "0001"),
		status.invalidExpiry,
		"validity_period is malformed",
	],
	[
		"validity too long",
		submitTimes("", "0000020000000000R"),
		status.invalidExpiry,
		"validity_period is too long",
	],
	[
		"message_id of 65",
		sized(head(0x80000004), "41".repeat(65), "00"),
		status.invalidMessageId,
		"message_id is too long",
	],
	[
		"message_id without end",
		sized(head(0x80000004), "4142"),
		status.invalidCommandLength,
		"message_id has no end",
	],
	[
		"system_id of 64",
		sized(head(9), "41".repeat(64), "00".repeat(10)),
		status.invalidSystemId,
		"system_id is too long",
	],
	[
		"password of 64",
		sized(head(9), "4100", "41".repeat(64), "00".repeat(10)),
		status.invalidPassword,
		"password is too long",
	],
	[
		"system_type of 13",
		sized(head(9), "4100", "00", "41".repeat(13), "00".repeat(10)),
		status.invalidSystemType,
		"system_type is too long",
	],
	[
		"address_range of 41",
		sized(head(9), "4100", "00", "00", "340000", "41".repeat(41), "00"),
		status.bindFailed,
		"address_range is too long",
	],
	[
		"bind that is only a header",
		sized(head(9)),
		status.invalidCommandLength,
		"system_id has no end",
	],
];

function submitSized(...tail: readonly string[]): Buffer {
	return sized(
		head(4),
		"00",
		"05004142" + "00",
		"0101313233" + "00",
		"000000",
		"00",
		"00",
		"00000000",
		...tail,
	);
}

function submitTimes(schedule: string, validity: string): Buffer {
	const text = (value: string): Buffer => Buffer.from(`${value}\0`, "latin1");
	return sized(
		head(4),
		"00",
		"0500414200",
		"010131323300",
		"000000",
		text(schedule),
		text(validity),
		"0000000000",
	);
}

describe("malformed PDUs are refused with the status to answer", () => {
	for (const [name, octets, code, reason] of refusals)
		test(name, () => {
			const result = decode(octets);
			assert.deepEqual(
				{ ok: result.ok, ...(!result.ok && { code: result.commandStatus, reason: result.reason }) },
				{ ok: false, code, reason },
			);
			if (!result.ok && octets.length >= 16) assert.equal(result.sequence, octets.readUInt32BE(12));
		});
});

test("sm_length is judged against what follows it, at every length", () => {
	const text = "41".repeat(20);
	for (let length = 0; length <= 255; length++) {
		const result = decode(submitSized(length.toString(16).padStart(2, "0"), text));
		if (length === 20) assert.ok(result.ok);
		else
			assert.equal(
				!result.ok && result.commandStatus,
				length > 20 ? status.invalidMessageLength : status.invalidOptionalPart,
			);
	}
});
