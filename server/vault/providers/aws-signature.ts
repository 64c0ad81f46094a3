/** AWS Signature Version 4 for a POST with a body: docs.aws.amazon.com, "Create a signed AWS API request". */
import { createHash, createHmac } from "node:crypto";

export interface AwsRequest {
	readonly method: string;
	/** As it is sent: no query, no repeated slashes. */
	readonly path: string;
	/** Every header that is signed, `host` and `x-amz-date` among them; names in lower case. */
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string;
}

export interface AwsScope {
	readonly region: string;
	readonly service: string;
	readonly accessKeyId: string;
	readonly secretAccessKey: string;
}

const algorithm = "AWS4-HMAC-SHA256";

/** The value of the Authorization header. */
export function signAws(request: AwsRequest, scope: AwsScope): string {
	const at = request.headers["x-amz-date"] ?? "";
	const names = Object.keys(request.headers).toSorted();
	const signedHeaders = names.join(";");
	const canonical = [
		request.method,
		request.path,
		"",
		...names.map((name) => `${name}:${(request.headers[name] ?? "").trim().replace(/ +/g, " ")}`),
		"",
		signedHeaders,
		sha256(request.body),
	].join("\n");
	const day = at.slice(0, 8);
	const credential = `${day}/${scope.region}/${scope.service}/aws4_request`;
	const toSign = [algorithm, at, credential, sha256(canonical)].join("\n");
	const steps = [day, scope.region, scope.service, "aws4_request"];
	const key = steps.reduce<Buffer | string>(mac, `AWS4${scope.secretAccessKey}`);
	const signature = mac(key, toSign).toString("hex");
	return `${algorithm} Credential=${scope.accessKeyId}/${credential}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
}

/** `20260102T030405Z`. */
export function amzDate(nowMs: number): string {
	return new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d{3}/g, "");
}

function sha256(text: string): string {
	return createHash("sha256").update(text).digest("hex");
}

function mac(key: Buffer | string, text: string): Buffer {
	return createHmac("sha256", key).update(text).digest();
}
