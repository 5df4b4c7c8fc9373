/** How ids of orders and talks begin whose handling comes to no good end. */

/** The process that handles it dies. */
export const KILLS = 'dead0001-';
/** It is refused whenever goods are to be taken for it, or its rating is to be counted. */
export const FAILS = 'dead0002-';
/** The process that handles it runs in a circle. */
export const HANGS = 'dead0003-';
