/**
 * Values that must not be printed. A `Secret` (a key, a password) or `Personal` value (an address,
 * a text) shows as `[hidden]` in logs, JSON, templates and inspection; `reveal()` is the one door.
 */
import { inspect } from "node:util";

class Hidden<T> {
	readonly #value: T;
	constructor(value: T) {
		this.#value = value;
	}
	reveal(): T {
		return this.#value;
	}
	toString(): string {
		return "[hidden]";
	}
	toJSON(): string {
		return "[hidden]";
	}
	[inspect.custom](): string {
		return "[hidden]";
	}
}

export class Secret extends Hidden<string> {}
