/** The authenticated user, as the verified token names them. Domain functions take it as their first argument. */
export interface Viewer {
  readonly userId: string;
  readonly tenantId: string;
  readonly roles: readonly string[];
  /** When the token expires, in milliseconds since the epoch. */
  readonly expiresAt: number;
}
