# `cpack --config BUILD/CPackConfig.cmake` makes a Debian package of what is installed. Configure with
# -DCMAKE_INSTALL_PREFIX=/usr for one that is to be given to others.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME pidward)
set(CPACK_PACKAGE_VENDOR "pidward")
set(CPACK_PACKAGE_CONTACT "The authors of pidward <pidward@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX "${CMAKE_INSTALL_PREFIX}")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
configure_file(packaging/debian/postinst.in ${PROJECT_BINARY_DIR}/debian/postinst @ONLY
  FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
file(WRITE ${PROJECT_BINARY_DIR}/debian/conffiles "${CMAKE_INSTALL_FULL_SYSCONFDIR}/pidward/pidward.yaml\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${PROJECT_BINARY_DIR}/debian/postinst"
  "${PROJECT_SOURCE_DIR}/packaging/debian/prerm" "${PROJECT_BINARY_DIR}/debian/conffiles")
include(CPack)
