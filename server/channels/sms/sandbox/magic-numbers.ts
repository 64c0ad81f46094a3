/**
 * Which number does what. The last six digits of a destination decide, so that they work behind any
 * country's prefix: +91 98765 000021 and +1 415 200 0021 both end in 000021. Every other number
 * accepts and delivers. Data: the documentation and the tests read this table.
 */
import { status } from "../smpp/status.ts";

export type Said = "STOP" | "START" | "HELP" | "long" | "long_shuffled";

export interface Behaviour {
	/** How submit_sm is answered. `first_twice` refuses a text's first two tries, then accepts it. */
	readonly answer:
		| "accept"
		| "refuse"
		| "first_twice"
		| "never"
		| "late"
		| "drop"
		| "after_receipt";
	/** command_status of `refuse` and `first_twice`. */
	readonly commandStatus: number;
	readonly receipt: "once" | "twice" | "never" | "last_segment";
	/** The receipt's stat and message_state. */
	readonly stat: "DELIVRD" | "EXPIRED" | "DELETED" | "UNDELIV" | "UNKNOWN" | "REJECTD";
	/** The receipt's err, three digits. */
	readonly errorCode: string;
	/** From the submit to the receipt; undefined: 20–50 ms. */
	readonly receiptAfterMs: number | undefined;
	/** Whether the receipt writes the id in hexadecimal, which the answer wrote in decimal. */
	readonly hexInReceipt: boolean;
	/** Whether the receipt speaks by TLVs, by the text of Appendix B, or both. */
	readonly form: "text_and_tlvs" | "text" | "tlvs";
	/** What the person writes back. */
	readonly reply: Said | undefined;
}

export interface MagicNumber extends Behaviour {
	/** The last six digits. */
	readonly digits: string;
	readonly says: string;
}

export const ordinary: Behaviour = {
	answer: "accept",
	commandStatus: status.ok,
	receipt: "once",
	stat: "DELIVRD",
	errorCode: "000",
	receiptAfterMs: undefined,
	hexInReceipt: false,
	form: "text_and_tlvs",
	reply: undefined,
};

function magic(digits: string, says: string, differs: Partial<Behaviour>): MagicNumber {
	return { ...ordinary, ...differs, digits, says };
}

function failed(
	digits: string,
	stat: Behaviour["stat"],
	errorCode: string,
	says: string,
): MagicNumber {
	return magic(digits, says, { stat, errorCode });
}

export const magicNumbers: readonly MagicNumber[] = [
	magic("000001", "Accepted and delivered, like any ordinary number.", {}),

	magic("000010", "The submit is refused: ESME_RINVDSTADR, invalid destination address.", {
		answer: "refuse",
		commandStatus: status.invalidDestination,
	}),
	failed("000011", "UNDELIV", "001", "Accepted, then undelivered (UNDELIV, err 001)."),
	failed("000012", "EXPIRED", "004", "Accepted, then expired (EXPIRED, err 004)."),
	failed("000013", "REJECTD", "008", "Accepted, then rejected (REJECTD, err 008)."),
	failed(
		"000014",
		"REJECTD",
		"633",
		"Accepted, then rejected as India's DLT platforms do: err 633, template not matched.",
	),
	failed(
		"000015",
		"UNKNOWN",
		"007",
		"Accepted, then a receipt that does not know (UNKNOWN, err 007).",
	),
	failed("000016", "DELETED", "005", "Accepted, then deleted by the carrier (DELETED, err 005)."),
	magic("000017", "The submit is refused: ESME_RSYSERR, system error.", {
		answer: "refuse",
		commandStatus: status.systemError,
	}),

	magic("000020", "ESME_RTHROTTLED the first two times, then accepted and delivered.", {
		answer: "first_twice",
		commandStatus: status.throttled,
	}),
	magic("000021", "ESME_RMSGQFUL the first two times, then accepted and delivered.", {
		answer: "first_twice",
		commandStatus: status.queueFull,
	}),

	magic("000030", "Accepted at once; the receipt comes after three seconds.", {
		receiptAfterMs: 3_000,
	}),
	magic("000031", "The submit is never answered and no receipt comes.", {
		answer: "never",
		receipt: "never",
	}),
	magic(
		"000032",
		"The submit is answered late (15 seconds unless set otherwise), then delivered.",
		{
			answer: "late",
		},
	),
	magic("000033", "The connection drops upon the submit, unanswered.", {
		answer: "drop",
		receipt: "never",
	}),
	magic(
		"000034",
		"The submit is never answered, yet the message is delivered and a receipt comes.",
		{
			answer: "never",
		},
	),

	magic("000040", "The receipt comes first, then the answer to the submit.", {
		answer: "after_receipt",
	}),
	magic("000041", "The receipt comes twice.", { receipt: "twice" }),
	magic("000042", "Accepted; no receipt ever comes.", { receipt: "never" }),
	magic("000043", "The id is decimal in the answer and hexadecimal in the receipt.", {
		hexInReceipt: true,
	}),
	magic("000044", "Only the last segment of a long message gets a receipt.", {
		receipt: "last_segment",
	}),
	magic("000045", "The receipt has TLVs and no text.", { form: "tlvs" }),
	magic("000046", "The receipt has text and no TLVs.", { form: "text" }),

	magic("000050", "Delivered; the person answers STOP.", { reply: "STOP" }),
	magic("000051", "Delivered; the person answers START.", { reply: "START" }),
	magic("000052", "Delivered; the person answers HELP.", { reply: "HELP" }),
	magic(
		"000053",
		"Delivered; the person answers at length, in Hindi: three UCS-2 parts with headers.",
		{
			reply: "long",
		},
	),
	magic("000054", "The same long answer, its parts out of order and one of them twice.", {
		reply: "long_shuffled",
	}),
];

/** What the person of the long answers writes. */
export const longReply =
	"नमस्ते! आपका संदेश मिला। मैं कल सुबह दस बजे दुकान पर आऊँगा और अपना सामान ले जाऊँगा। कृपया सब कुछ तैयार रखिए, और अगर कोई बदलाव हो तो मुझे इसी नंबर पर बता दीजिए। धन्यवाद! 🙏";

const byDigits: ReadonlyMap<string, Behaviour> = new Map(
	magicNumbers.map((number) => [number.digits, number]),
);

/** What the sandbox does with a message to this address, with or without its +. */
export function behaviourOf(address: string): Behaviour {
	return byDigits.get(address.slice(-6)) ?? ordinary;
}
