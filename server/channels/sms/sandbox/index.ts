export {
	type Behaviour,
	behaviourOf,
	longReply,
	type MagicNumber,
	magicNumbers,
} from "./magic-numbers.ts";
export {
	type Sandbox,
	type SandboxAccount,
	type SandboxParts,
	type SandboxStats,
	startSandbox,
} from "./server.ts";
