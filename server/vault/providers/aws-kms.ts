/**
 * A root key in AWS KMS, by its JSON API (Encrypt, Decrypt, ScheduleKeyDeletion; TrentService 2014-11-01). The
 * encryption context binds the label. A version is the ARN of the KMS key, so that a new KMS key is a new version;
 * KMS's own yearly rotation is invisible to us and needs nothing.
 */
import type { Clock } from "#platform/clock.ts";
import type { Egress } from "#platform/egress.ts";
import type { Secret } from "#platform/hidden.ts";
import { amzDate, signAws } from "./aws-signature.ts";
import { type KeyLabel, type KeyProvider, KeyProviderError, probeHealth } from "./provider.ts";
import { type Answer, askService, textOf } from "./remote.ts";

export interface AwsKmsParts {
	/** `https://kms.REGION.amazonaws.com`. */
	readonly url: string;
	/** `arn:aws:kms:REGION:ACCOUNT:key/ID`; an alias could be pointed at another key behind our back. */
	readonly keyArn: string;
	/** `ACCESS_KEY_ID:SECRET_ACCESS_KEY`, and `:SESSION_TOKEN` for temporary ones. */
	readonly credentials: Secret;
	readonly egress: Pick<Egress, "post">;
	readonly clock: Clock;
	/** Days that KMS waits before it deletes a key, 7–30. */
	readonly deletionDays?: number;
}

/** Errors after which the same request will not work later. */
const finalErrors =
	/InvalidCiphertext|NotFound|KMSInvalidState|Disabled|IncorrectKey|ValidationException|InvalidKeyUsage/;

export function awsKmsProvider(parts: AwsKmsParts): KeyProvider {
	const region = /^arn:aws[\w-]*:kms:([a-z0-9-]+):\d{12}:key\/[\w-]+$/.exec(parts.keyArn)?.[1];
	if (region === undefined)
		throw new KeyProviderError(
			"refused",
			"WAXWING_KEY_NAME must be the ARN of a KMS key: arn:aws:kms:REGION:ACCOUNT:key/ID",
		);
	const call = (action: string, body: object): Promise<Answer> =>
		callKms(parts, region, action, body);
	const provider: KeyProvider = {
		kind: "aws-kms",
		warning: undefined,
		async wrap(key, label) {
			const answer = await call("Encrypt", {
				KeyId: parts.keyArn,
				Plaintext: key.toString("base64"),
				EncryptionContext: contextOf(label),
			});
			const bytes = Buffer.from(textOf(answer, "CiphertextBlob"), "base64");
			return { version: parts.keyArn, bytes };
		},
		async unwrap({ version, bytes }, label) {
			const answer = await call("Decrypt", {
				KeyId: version,
				CiphertextBlob: bytes.toString("base64"),
				EncryptionContext: contextOf(label),
			});
			return Buffer.from(textOf(answer, "Plaintext"), "base64");
		},
		rotate: () =>
			Promise.reject(
				new KeyProviderError(
					"unsupported",
					"Make a new KMS key, put its ARN into WAXWING_KEY_NAME, and start again; what the old one wrapped is then wrapped anew.",
				),
			),
		async destroy(version) {
			if (version === parts.keyArn)
				throw new KeyProviderError("refused", "The newest root key cannot be destroyed.");
			const days = parts.deletionDays ?? 7;
			await call("ScheduleKeyDeletion", { KeyId: version, PendingWindowInDays: days });
		},
		health: () => probeHealth(provider),
		close: () => undefined,
	};
	return provider;
}

function contextOf({ tenantId, table, row }: KeyLabel): Readonly<Record<string, string>> {
	// KMS takes no empty values.
	return { "waxwing:tenant": tenantId || "-", "waxwing:table": table, "waxwing:row": row || "-" };
}

async function callKms(
	parts: AwsKmsParts,
	region: string,
	action: string,
	body: object,
): Promise<Answer> {
	const [accessKeyId = "", secretAccessKey = "", ...session] = parts.credentials
		.reveal()
		.split(":");
	const url = new URL(parts.url);
	const text = JSON.stringify(body);
	const signed = {
		"content-type": "application/x-amz-json-1.1",
		host: url.host,
		"x-amz-date": amzDate(parts.clock.now()),
		...(session.length === 0 ? {} : { "x-amz-security-token": session.join(":") }),
		"x-amz-target": `TrentService.${action}`,
	};
	const request = { method: "POST", path: "/", headers: signed, body: text };
	const authorization = signAws(request, { region, service: "kms", accessKeyId, secretAccessKey });
	const { host: _, ...headers } = { ...signed, authorization };
	const { status, answer } = await askService(parts.egress, `${url.origin}/`, headers, text);
	if (status < 300) return answer;
	const type = answer["__type"];
	const kind = (typeof type === "string" ? type : "").split("#").at(-1) ?? "";
	const trouble = finalErrors.test(kind) ? "refused" : "away";
	throw new KeyProviderError(trouble, `KMS refuses ${action}: ${kind || `HTTP ${status}`}.`);
}
