/** Bugs planted in how suspects are tried apart. */
import { meaning, type Mutant, text } from "./mutant.ts";

export const mutantsApart: readonly Mutant[] = [
	{
		name: "who was lost with a connection is tried again among the others",
		seed: 5,
		noticedBy: ["suspects leave apart", "the innocent end soon", "the innocent leave seldom"],
		...meaning(
			"lanes.lease",
			(usual) => (view, values) => usual(view, values).map((row) => ({ ...row, apart: false })),
		),
	},
	{
		name: "suspects are not told from who had no answer in time",
		seed: 5,
		noticedBy: ["suspects leave apart", "the innocent end soon", "the innocent leave seldom"],
		...text("effects.ts", "apart: again && isLost,", "apart: false,"),
	},
	{
		name: "a bind takes others while a suspect is under way",
		seed: 5,
		noticedBy: ["suspects leave apart"],
		change: {
			file: "channels/sms/smpp/trial.ts",
			from: "aside: () => inner.aside?.bind,",
			to: "aside: () => undefined,",
		},
	},
	{
		name: "a suspect does not wait until its bind is quiet",
		seed: 5,
		noticedBy: ["suspects leave apart"],
		change: {
			file: "channels/sms/smpp/trial.ts",
			from: "aside.isDrained ||= isQuiet ||",
			to: "aside.isDrained ||= true || isQuiet ||",
		},
	},
	{
		name: "groups stay groups, however often they are lost",
		seed: 107,
		noticedBy: ["the innocent leave seldom", "the innocent end soon"],
		...text("apart.ts", "const isAlone = entry.attempt > 1;", "const isAlone = false;"),
	},
	{
		name: "a bind is not given back when its trial was lost",
		seed: 5,
		noticedBy: ["codes do not wait", "the innocent end soon"],
		change: {
			file: "channels/sms/smpp/trial.ts",
			from: "if (inner.open.size === 0 || isSilent) return end(inner, now);",
			to: "if (!inner.isLost && (inner.open.size === 0 || isSilent)) return end(inner, now);",
		},
	},
	{
		name: "a bind is in use for as long as it was aside, however long the machine slept",
		seed: 621,
		noticedBy: ["every message ends"],
		change: {
			file: "channels/sms/smpp/trial.ts",
			from: "now + Math.min(tookMs, giveMostMs + answerMostMs)",
			to: "now + tookMs",
		},
	},
];
