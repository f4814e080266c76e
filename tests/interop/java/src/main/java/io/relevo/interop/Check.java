package io.relevo.interop;

/** A rule that is looked after in a scene. */
interface Check {
  void run(Scene scene) throws Exception;
}
