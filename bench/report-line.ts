/** One line of the table: what, ours, the yardstick, their ratio. */
export type Line = readonly [what: string, ours?: string, yardstick?: string, ratio?: string];

export const whole = (value: number) => Math.round(value).toLocaleString('en');
export const ms = (value: number) => (value < 10 ? value.toFixed(1) : String(Math.round(value)));
export const ratio = (value: number) => value.toFixed(2);
