/** How orders' ids begin whose handling comes to no good end. */

/** The process that handles it dies. */
export const KILLS = 'dead0001-';
/** It is refused whenever goods are to be taken for it. */
export const FAILS = 'dead0002-';
/** The process that handles it runs in a circle. */
export const HANGS = 'dead0003-';
