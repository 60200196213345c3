// The screens in the order of their tabs. A new one is its own file and one line here.
import { compareScreen } from "./compare.js";
import { headScreen } from "./head.js";
import { overviewScreen } from "./overview.js";
import { beamScreen } from "./beam.js";
import { imageScreen } from "./image.js";
import { guessesScreen } from "./guesses.js";
import { haltingScreen } from "./halting.js";
import { bucketsScreen } from "./buckets.js";
import { wiringScreen } from "./wiring.js";
import { signedScreen } from "./signed.js";
import { positionsScreen } from "./positions.js";
import { flowScreen } from "./flow.js";

export const SCREENS = [overviewScreen, headScreen, compareScreen, beamScreen, imageScreen, guessesScreen, haltingScreen, bucketsScreen, wiringScreen, signedScreen, positionsScreen, flowScreen];
