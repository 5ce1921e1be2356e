/** Who asks: what the verified token says, and nothing else. Domain functions take it first. */
export interface Viewer {
  readonly userId: string;
  readonly tenantId: string;
  readonly roles: readonly string[];
  /** When the token ends, in milliseconds since the epoch. */
  readonly expiresAt: number;
}
