/**
 * What the vault begins with: the key provider of the configuration, and the platform's own key, which stands wrapped in
 * the key files. An installation from before there were key files has a platform key that follows from its root key.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { deriveBytes, keyBytes } from "./derive.ts";
import { type KeyFiles, openKeyFiles } from "./key-files.ts";
import { kindOf, type OpenedProvider, type OpenParts, openKeyProvider } from "./providers/open.ts";
import type { KeyLabel } from "./providers/provider.ts";
import { RootKeyError } from "./root-key.ts";
import { createWrapping, type Wrapping } from "./wrapping.ts";

export interface OpenKeys {
	readonly wrapping: Wrapping;
	readonly files: KeyFiles;
	/** 32 bytes. */
	readonly platformKey: Buffer;
	/** A sentence the operator should see at start, if any. */
	readonly warning: string | undefined;
	close(): void;
}

export const platformFile = "platform.key";
export const platformLabel: KeyLabel = { tenantId: "", table: "platform", row: "" };

/** Throws an error with a sentence for the operator: ConfigError, RootKeyError, KeyProviderError or VaultError. */
export async function openKeys(parts: OpenParts): Promise<OpenKeys> {
	const { provider, oldest } = openKeyProvider(parts);
	const older = kindOf(parts.settings) === "file" ? undefined : openOlder(parts);
	const wrapping = createWrapping(provider, older === undefined ? [] : [older.provider]);
	const files = openKeyFiles(parts.dataDir);
	const root = older?.oldest ?? oldest;
	const platformKey = await openPlatformKey(parts, wrapping, files, root);
	const close = (): void => {
		provider.close();
		older?.provider.close();
	};
	return { wrapping, files, platformKey, warning: provider.warning, close };
}

/** An installation that moves to a key service: what the file's root key wrapped still opens while the file is there. */
function openOlder(parts: OpenParts): OpenedProvider | undefined {
	if (!existsSync(join(parts.dataDir, "root.key"))) return undefined;
	const settings = { ...parts.settings, provider: "file" } as const;
	return openKeyProvider({ ...parts, settings, mayCreate: false });
}

async function openPlatformKey(
	{ mayCreate, random }: OpenParts,
	wrapping: Wrapping,
	files: KeyFiles,
	root: Buffer | undefined,
): Promise<Buffer> {
	const stored = files.read(platformFile);
	if (stored !== undefined) return wrapping.unwrap(stored, platformLabel);
	if (root === undefined && !mayCreate)
		throw new RootKeyError(
			`The key file ${files.pathOf(platformFile)} is missing, but data sealed under it exists. Put the folder back from its backup.`,
		);
	const key = root === undefined ? random.bytes(keyBytes) : deriveBytes(root, "root/platform");
	root?.fill(0);
	files.write(platformFile, await wrapping.wrap(key, platformLabel));
	return key;
}
