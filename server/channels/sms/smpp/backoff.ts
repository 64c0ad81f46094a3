/**
 * How long to wait before binding again: exponential with full jitter from 1 s to 60 s, so that a
 * thousand binds that were cut together do not come back together.
 */
import type { Random } from "#platform/ids.ts";

export interface BackoffSettings {
	readonly firstMs: number;
	readonly mostMs: number;
	/** Refusals of our credentials in a row after which only slow attempts follow (lock-outs). */
	readonly refusalsMax: number;
	readonly refusedEveryMs: number;
	/** A bind that stood so long makes earlier failures forgotten. */
	readonly steadyMs: number;
}

export const defaultBackoff: BackoffSettings = {
	firstMs: 1_000,
	mostMs: 60_000,
	refusalsMax: 5,
	refusedEveryMs: 300_000,
	steadyMs: 10_000,
};

/** `failures`: how many attempts in a row have failed, at least 1. */
export function backoffMs(failures: number, settings: BackoffSettings, random: Random): number {
	const ceiling = Math.min(settings.mostMs, settings.firstMs * 2 ** Math.min(failures - 1, 30));
	return Math.max(settings.firstMs / 10, random.fraction() * ceiling);
}

/** The slow retry of a bind whose credentials are refused; jittered by a tenth. */
export function refusedMs(settings: BackoffSettings, random: Random): number {
	return settings.refusedEveryMs * (0.9 + 0.2 * random.fraction());
}
