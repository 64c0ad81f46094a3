/**
 * Proofs that are not what was given: a genuine proof of an entry, or of consistency, is changed in one way of chance;
 * waxwing-verify accepts none of them, and all that are genuine.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { writeProof } from "../../server/audit/checkpoint.ts";
import { seededRandom } from "#platform/ids.ts";
import { makeLog, openVerifier, origin, pinned } from "../support/ledger-texts.ts";
import { times } from "./ledger-siege.ts";

const mutants = times(300);
const random = seededRandom(Number(process.env["WAXWING_TEST_LEDGER_SEED"] ?? 35));
const below = (n: number): number => Math.floor(random.fraction() * n);
const verifier = await openVerifier();
after(() => verifier.close());
const size = 85;
const log = makeLog(size);

type Texts = readonly string[];
type Mutation = (texts: string[], which: number) => void;

function lines(change: (all: string[]) => void): Mutation {
	return (texts, which) => {
		const all = (texts[which] as string).split("\n");
		change(all);
		texts[which] = all.join("\n");
	};
}

/** Ways to change one text of a proof. What comes out as it was is tried again. */
const mutations: Readonly<Record<string, Mutation>> = {
	"a bit flipped": (texts, which) => {
		const bytes = Buffer.from(texts[which] as string);
		const at = below(bytes.length);
		bytes[at] = (bytes[at] as number) ^ (1 << below(8));
		texts[which] = bytes.toString("utf8");
	},
	"a character replaced": (texts, which) => {
		const text = texts[which] as string;
		const at = below(text.length);
		const with_ = "ABCabc019+/= \n—"[below(15)] as string;
		texts[which] = text.slice(0, at) + with_ + text.slice(at + 1);
	},
	"a line left out": lines((all) => void all.splice(below(all.length - 1), 1)),
	"a line doubled": lines((all) => {
		const at = below(all.length - 1);
		all.splice(at, 0, all[at] as string);
	}),
	"two lines swapped": lines((all) => {
		const [a, b] = [below(all.length - 1), below(all.length - 1)];
		[all[a], all[b]] = [all[b] as string, all[a] as string];
	}),
	"the end cut off": (texts, which) => {
		const text = texts[which] as string;
		texts[which] = text.slice(0, below(text.length - 1));
	},
};

/** A genuine proof and, for swapping, a text of another genuine one in the same place. */
interface Genuine {
	readonly command: string;
	readonly texts: Texts;
	readonly others: Texts;
}

function entryProof(): Genuine {
	const made = (index: number, at: number): string => {
		const { entry } = log.rows[index] as (typeof log.rows)[number];
		return writeProof(entry, index, log.inclusion(index, at), log.checkpoint(at));
	};
	const at = 2 + below(size - 1);
	const index = below(at);
	// The path of another leaf, or of another size, under this proof's own entry and index.
	const [title, extra, position] = made(index, at).split("\n");
	const foreign = made((index + 1 + below(at - 1)) % at, at)
		.split("\n")
		.slice(3);
	const swapped = [title, extra, position, ...foreign].join("\n");
	return { command: "entry", texts: [made(index, at)], others: [swapped] };
}

function consistencyProof(): Genuine {
	const now = 3 + below(size - 2);
	const old = 1 + below(now - 1);
	const other = 1 + (old % (now - 1));
	const path = (from: number): string =>
		log
			.consistency(from, now)
			.map((hash) => `${hash.toString("base64")}\n`)
			.join("");
	return {
		command: "consistency",
		texts: [log.checkpoint(old), log.checkpoint(now), path(old)],
		others: [
			log.checkpoint(other),
			log.checkpoint(now + 1 > size ? now - 1 : now + 1),
			path(other),
		],
	};
}

const kinds = { ...mutations, "a part of another proof": undefined };

function mutate({ texts, others }: Genuine, mutation: Mutation | undefined): Texts | undefined {
	const changed = [...texts];
	const which = below(texts.length);
	if (mutation === undefined) changed[which] = others[which] as string;
	else mutation(changed, which);
	return meaning(changed) === meaning(texts) ? undefined : changed;
}

/** Blank lines at a list's end say nothing, so they are no change. */
function meaning(texts: Texts): string {
	return JSON.stringify(
		texts.map((text, i) => (i === 2 ? text.split("\n").filter(Boolean) : text)),
	);
}

test(`${mutants} mutated proofs: none accepted`, { timeout: 3_000_000 }, async (context) => {
	const counts: Record<string, number> = {};
	for (let n = 0; n < mutants; ) {
		const genuine = n % 2 === 0 ? entryProof() : consistencyProof();
		const whole = await verifier.run([genuine.command, ...pinned], ...genuine.texts);
		assert.equal(whole.status, 0, JSON.stringify(whole.answer));
		const names = Object.keys(kinds);
		const name = names[below(names.length)] as string;
		const changed = mutate(genuine, mutations[name]);
		if (changed === undefined) continue;
		const { status, answer } = await verifier.run([genuine.command, ...pinned], ...changed);
		const shown = `${name}: ${JSON.stringify({ origin, genuine, changed, answer })}`;
		assert.notEqual(status, 0, shown);
		counts[name] = (counts[name] ?? 0) + 1;
		n++;
	}
	context.diagnostic(`${mutants} mutated proofs, 0 accepted: ${JSON.stringify(counts)}`);
	assert.equal(Object.keys(counts).length, Object.keys(kinds).length);
});
